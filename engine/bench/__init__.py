"""`split-kitchen bench`: figures of this code, each beside a limit or a peer that was measured in the same run."""
