"""Should prefill and decode be split here? Candidates, trials, reasons, a plan."""
