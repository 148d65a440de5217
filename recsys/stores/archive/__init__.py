"""Closed partitions of events: columns in files, mapped into memory. Knows no database.

A partition never changes once it is written. Which partitions are part of a store is said by the database, in the
transaction that adds them; a folder of which no database speaks is nothing.
"""
