"""GPUs, fabrics, sites and models, as data with sources."""
