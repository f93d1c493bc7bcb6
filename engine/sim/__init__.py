"""The same Router, Worker, policies, link and events in simulated time. The only place that knows SimPy."""
