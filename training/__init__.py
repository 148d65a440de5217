"""From a store's history to a published bundle."""
