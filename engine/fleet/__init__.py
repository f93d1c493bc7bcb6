"""Real GPUs, fabrics and models: data, formulas, what NVML finds, and advice. The only place that knows NVML."""
