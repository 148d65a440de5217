"""What the project measures of itself, as ratios against a peer in the same run where there is one."""
