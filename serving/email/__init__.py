"""E-mail: who is written to, with what, and what became of it."""
