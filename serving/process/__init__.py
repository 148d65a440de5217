"""The service as processes: signals, stopping without loss, workers and who looks after them."""
