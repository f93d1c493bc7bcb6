"""Real hardware: what is there. The only place that knows NVML."""
