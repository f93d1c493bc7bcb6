"""What the clusters' pages call the ways to serve, and the two sides that they are compared as."""

from engine.scenario import Kind

WAYS: dict[Kind, str] = {"colocated": "whole prompts", "chunked": "chunked prefill", "disaggregated": "split"}
SIDES = {"colocated": "co-located", "disaggregated": "split"}
BETTER = "Co-located: the better of whole prompts and chunked prefill."
