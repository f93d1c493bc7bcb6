"""Those that `bench compute` compares, each in a process of its own: this engine, its limits, and other engines."""
