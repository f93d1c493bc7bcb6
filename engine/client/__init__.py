"""Send load to somebody else's server and record exactly what a client can see."""
