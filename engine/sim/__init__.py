"""The same engine in simulated time: the same Router, Worker, policies, link and events, driven by SimPy."""
