"""The commands of `split-kitchen` except `run`, `compare` and `worker`."""
