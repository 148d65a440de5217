"""Answering: mask, retrieve, rank, explain."""
