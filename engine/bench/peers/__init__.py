"""What `bench compute` compares, a process each: this engine, the core's limits, and other engines."""
