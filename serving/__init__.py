"""Answers over HTTP, from a published bundle and a store."""
