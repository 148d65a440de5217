"""Is this machine, store, cache and bundle fit to serve? What `bookmatch doctor` asks."""
