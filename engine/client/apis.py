"""What the command line says of endpoints, before one is asked."""

from typing import Literal, get_args

KEY_VARIABLE = "SPLIT_KITCHEN_API_KEY"  # not a flag: everyone on the machine can see command lines
Api = Literal["chat", "completions"]
APIS: tuple[Api, ...] = get_args(Api)
