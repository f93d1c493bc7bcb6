"""What `bench compute` compares, each in its own process: this engine, the core's limits, and other engines."""
