"""This machine's GPUs and links: what NVML reports, and what is wrong with them."""
