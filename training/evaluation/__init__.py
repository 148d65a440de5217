"""What would have been recommended, and what customers went on to want."""
