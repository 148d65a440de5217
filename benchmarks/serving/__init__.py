"""What answering costs: `make bench-serving`."""
