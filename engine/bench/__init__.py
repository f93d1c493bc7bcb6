"""`split-kitchen bench`: this code's performance, compared with limits and peers measured in the same run."""
