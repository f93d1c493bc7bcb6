"""The same Router, Worker, policies, link and events in simulated time. Only this package uses SimPy."""
