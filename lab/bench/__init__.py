"""Measure the lab itself: pages, a class, start-up, memory."""
