"""Worker processes, the front that starts and feeds them, and the host that the lab starts."""
