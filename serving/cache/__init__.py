"""Keeping ranked lists: in this process, or in Redis for all. A dead cache costs speed, never an answer."""
