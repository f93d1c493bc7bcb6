"""Should prefill and decode be split on this fleet? Formulas screen, the simulator decides."""
