"""Move a request's KV from one worker's pool to another's, at the link's pace, and verify it."""
