"""A shop's files, read into the project's own schema."""
