"""Join, vote, lead, project: one lesson for many people at once."""
