"""One load on one site, over many values of one setting."""
