"""What came of what was shown: attribution, lift, and intervals that stay valid when looked at daily."""
