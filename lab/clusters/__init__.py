"""GPUs that are not here: scale up, ask the advisor, hold the model against reality."""
