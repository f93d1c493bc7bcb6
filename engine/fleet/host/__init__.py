"""The GPUs of this machine: what NVML reports, and what is wrong with them."""
