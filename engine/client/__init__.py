"""A server of somebody else's, seen from outside."""
