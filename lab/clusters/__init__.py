"""Clusters that are not here: scale up, ask the advisor, compare the model with reality."""
