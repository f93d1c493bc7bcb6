"""A prepared model in transformers' own modules. Its weights stay memory-mapped, so workers share the pages."""

from typing import Any

import torch
from transformers import AttentionInterface, AutoModelForCausalLM
from transformers.utils import logging

from engine.live.compute.attention import PAGED, paged_attention
from engine.live.compute.place import HOST
from engine.live.model.catalog import Prepared


def load(prepared: Prepared, device: torch.device = HOST.device, attention: str = PAGED) -> Any:
    """The model on `device`. Another `attention`, such as "sdpa", gives a model that `generate` works with."""
    # No mask is registered under the name, so transformers makes none: `PagedStep` has the masks.
    AttentionInterface.register(PAGED, paged_attention)
    logging.disable_progress_bar()  # a worker's stderr is for errors
    model = AutoModelForCausalLM.from_pretrained(
        prepared.folder,
        dtype=getattr(torch, prepared.dtype),
        variant=prepared.variant or None,
        attn_implementation=attention,
        local_files_only=True,
    )
    return model.eval().to(device)
