"""How good the lists are on real data, beside what is published, what was set as a goal, and a peer."""
