"""GPUs that you do not have: scale up, ask the advisor, compare the model with reality."""
