"""The real engine: worker processes, a model, real KV bytes over real transports. The only place that knows torch."""
