"""Free play: choose orders and a link, open a kitchen on the real engine, watch, compare."""
