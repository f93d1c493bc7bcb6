"""What the kitchen says of a stall: "Orders 1 and 2 stood still for 1.80 s while order 4's 1,024 tokens were in prep."

The same sentence goes to the scene, the screen reader and the export.
"""

from engine import units
from engine.stall import Name, Stall, in_seconds, listed, number, owned


def kitchen_says(stall: Stall, name: Name = number) -> str:
    """`name`: the number that an order carries in the kitchen."""
    who = listed("order", stall.requests, name)
    waited = "stood still" if stall.phase == "next" else "waited for a first token"
    return f"{who[0].upper()}{who[1:]} {waited} for {in_seconds(stall.seconds)} {_because(stall, name)}."


def _because(stall: Stall, name: Name) -> str:
    cause, several = stall.cause, len(stall.requests) > 1
    size = units.in_words(cause.nbytes, "B")
    match cause.kind:
        case "prefill":
            return f"while {owned('order', cause.requests, f'{cause.tokens:,} tokens', name)} were in prep"
        case "mixed":
            whose = listed("order", cause.requests, name)
            return f"while {cause.tokens:,} tokens of {whose} were prepped in the same step"
        case "tray":
            return f"while {'their' if several else 'its'} own tray, {size}, crossed the pass"
        case "tray-ahead":
            return f"while {listed('tray', cause.requests, name)}, {size}, filled the pass ahead of {_them(several)}"
        case "room":
            return f"until there was room for {'their trays' if several else 'its tray'}"
        case "recall":
            return f"until {'they had' if several else 'it had'} been prepped once more: {cause.why}"
        case "none":
            return "for no reason in this kitchen"


def _them(several: bool) -> str:
    return "them" if several else "it"
