"""The engine and other child processes: who may run next, and everyone who watches."""
