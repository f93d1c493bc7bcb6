"""A plan as other programs read it: vLLM commands, Dynamo, Kubernetes, a report. Pure functions."""
