"""Reading many models' configs without a process for each."""

import json
from typing import Any

import pytest

from engine.fleet.catalog import hf_config
from engine.fleet.catalog.on_meta_device import NotKnown, _made


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers' classes in this process. A separate process, as users have it, imports torch for each config."""

    def filled(config: str) -> dict[str, Any]:
        try:
            return _made(json.loads(config))
        except NotKnown:
            raise
        except Exception as wrong:  # as a process that ends with it
            raise NotKnown(f"{type(wrong).__name__}: {wrong}") from wrong

    monkeypatch.setattr(hf_config, "filled", filled)
