"""The engine and other child processes, and everybody who watches them."""
