"""Free play: choose orders and a link, run them on the real engine, watch and compare."""
