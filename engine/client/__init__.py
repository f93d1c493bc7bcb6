"""Drive somebody else's server and record what its client can see, and no more."""
