"""The same Router, Worker, policies, link and events in simulated time. They know nothing of it."""
