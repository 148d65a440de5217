"""Several configurations on one division of a history, beside the first of them."""
