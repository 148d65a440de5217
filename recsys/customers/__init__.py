"""Who the customers are: what is known of one, and how one is forgotten."""
