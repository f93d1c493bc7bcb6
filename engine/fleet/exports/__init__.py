"""A plan in other programs' formats: vLLM commands, Dynamo, Kubernetes, a report. Pure functions."""
