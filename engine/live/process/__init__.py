"""Worker processes, the front that feeds them, and the host that the lab starts."""
