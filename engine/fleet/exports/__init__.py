"""A plan as what others read: vLLM commands, a Dynamo deployment, Kubernetes manifests, a report. Pure functions."""
