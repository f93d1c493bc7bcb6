"""Real hardware and real models: as data, as formulas, and as NVML finds them. The only place that knows NVML."""
