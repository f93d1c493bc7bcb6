"""GPUs, fabrics, sites and models as data, each row with its source."""
