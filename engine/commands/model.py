"""`split-kitchen model`: a model's parameters, the size of its weights, and that of its KV."""

import click
import msgspec

from engine import units
from engine.fleet.catalog.hf_config import model as model_named
from engine.fleet.catalog.models import ModelShape
from engine.fleet.catalog.precision import PRECISIONS

CONTEXTS = {"4k": 4096, "32k": 32_768, "128k": 131_072}


@click.command()
@click.argument("name")
@click.option("--precision", default="", help=f"Of weights: {', '.join(PRECISIONS)}.  [default: the model's]")
@click.option("--kv-dtype", default="", help="Of the KV cache: bf16 or fp8.  [default: the model's]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def model(name: str, precision: str, kv_dtype: str, as_json: bool) -> None:
    """Parameters, bytes of weights, and KV of a model: a shipped NAME, a config.json, a folder with one, a GGUF file.

    transformers' own classes read a file, which takes some seconds; code that it names is never run. Safetensors beside
    a config.json say what the weights take.
    """
    found = facts(model_named(name).served(precision, kv_dtype))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for field, value in found.items():
        click.echo(f"{field:20} {_in_words(field, value)}")


def facts(shape: ModelShape) -> dict[str, object]:
    """What the command prints, by name: bytes, and numbers of parameters."""
    return {
        "name": shape.name,
        "params": shape.params,
        "active_params": shape.active_params,
        "weight_bytes": round(shape.weight_bytes),
        "kv_bytes_per_token": shape.kv_bytes(1) - shape.state_bytes,
        "kv_bytes": {label: shape.kv_bytes(tokens) - shape.state_bytes for label, tokens in CONTEXTS.items()},
        "state_bytes": shape.state_bytes,
        "layers": {"full": shape.full_layers, "window": shape.windowed_layers, "state": shape.state_layers},
        "formats": shape.formats,
        "read": shape.source,
        "assumed": list(shape.assumed),
    }


def _in_words(field: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{label} {_in_words(field, one)}" for label, one in value.items())
    if isinstance(value, list):
        return " ".join(value) or "nothing"
    if isinstance(value, int):
        return units.in_words(value, "B") if "bytes" in field else f"{value:,}"
    return str(value)
