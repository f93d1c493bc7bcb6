"""A model's files as vLLM wants them."""

from pathlib import Path

from engine.live.model.catalog import Prepared


def link_model(prepared: Prepared, folder: Path) -> None:
    """A folder of the model for vLLM: a converted model has weights in two dtypes, and vLLM would load both."""
    halved = Path(prepared.folder, "model.bf16.safetensors")
    folder.mkdir()
    for file in Path(prepared.folder).iterdir():
        if not halved.exists() or file.suffix != ".safetensors":
            (folder / file.name).symlink_to(file)
    if halved.exists():
        weights = halved if prepared.variant == "bf16" else Path(prepared.folder, "model.safetensors")
        (folder / "model.safetensors").symlink_to(weights)
