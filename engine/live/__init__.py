"""The real engine: worker processes, a model, real KV bytes on real transports. The only place that knows torch."""
