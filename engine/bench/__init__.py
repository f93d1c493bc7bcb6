"""What `split-kitchen bench` measures: this code beside its limit or its peer, in one run, on this machine."""
