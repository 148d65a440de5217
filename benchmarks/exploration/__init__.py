"""`make bench-exploration`: what exploring new items brings and costs, in a simulated shop whose truth is known."""
