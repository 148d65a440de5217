"""How good lists are, and how sure that is."""
