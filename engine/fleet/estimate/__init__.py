"""Formulas: how long prefill, a decode step and a handoff take on given hardware."""
