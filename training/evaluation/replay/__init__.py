"""What another policy would have brought, from logged lists of which chance had a part in."""
