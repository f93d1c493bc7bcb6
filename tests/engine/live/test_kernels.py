"""The kernels against torch, at the shapes and in the places where they could go wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.live.compute.kernels import layer as kernels
from engine.live.compute.kernels.attention import attend, keep
from engine.live.compute.kernels.numbers import exp
from engine.live.compute.kv import KvPool
from engine.live.compute.small_batch import SmallBatch, product
from engine.live.model.shape import KvShape
from tests.disks import small_disk

NOTHING = np.empty(0, np.float32)
DTYPES = (torch.float32, torch.bfloat16)


def words(tensor: torch.Tensor) -> Any:
    return tensor.numpy() if tensor.dtype == torch.float32 else tensor.view(torch.int32).numpy().view(np.uint32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 16])
def test_a_product_is_that_of_torch(dtype: torch.dtype, rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    x, bias = torch.randn(rows, 192, generator=generator), torch.randn(48, generator=generator)
    weight = torch.randn(48, 192, generator=generator).to(dtype)
    wanted = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
    made = torch.from_numpy(kernels.product(x.numpy(), words(weight), bias.numpy()))
    assert torch.allclose(made.double(), wanted, atol=1e-4)
    assert torch.allclose(product(x, weight).double(), wanted - bias, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_s_product_does_not_depend_on_its_company(dtype: torch.dtype) -> None:
    """So a request's tokens do not depend on who decodes beside it."""
    x, weight = torch.randn(15, 192), torch.randn(48, 192).to(dtype)
    together = product(x, weight)
    assert all(torch.equal(product(x[row : row + 1], weight)[0], together[row]) for row in range(15))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("group", [1, 2, 3, 7])
def test_each_row_attends_to_its_own_past_and_to_nothing_else(dtype: torch.dtype, group: int) -> None:
    """Slots that no row sees are full of NaN."""
    generator = torch.Generator().manual_seed(group)
    tables, seen = np.array([[5, 2, 0], [3, 0, 0], [1, 7, 4]]), np.array([33, 1, 47])
    pool = torch.full((2, 9 * 16, 2, 32), float("nan"), dtype=dtype)
    query = torch.randn(3, 2 * group, 32, generator=generator)
    wanted = []
    for row, count in enumerate(seen.tolist()):
        slots = [int(tables[row, at // 16]) * 16 + at % 16 for at in range(count)]
        pool[:, slots] = torch.randn(2, count, 2, 32, generator=generator).to(dtype)
        key, value = (part.float().transpose(0, 1) for part in pool[:, slots])
        whole = torch.nn.functional.scaled_dot_product_attention(
            query[row][None, :, None], key[None], value[None], scale=0.3, enable_gqa=True
        )
        wanted.append(whole[0, :, 0])
    rows = kernels.RowPlaces(NOTHING, tables, seen, NOTHING, NOTHING)
    made = torch.from_numpy(attend(query.numpy(), words(pool), rows, 16, 0.3))
    assert torch.allclose(made, torch.stack(wanted), atol=1e-5)


def test_bf16_is_kept_as_torch_rounds_it() -> None:
    values = torch.cat((torch.randn(4, 2, 16), torch.tensor([1.00390625, 1.01171875]).repeat(4, 2, 8)), -1)  # and ties
    kept = torch.zeros(9, 2, 32, dtype=torch.bfloat16)
    keep(values.numpy(), words(kept), np.array([3, 0, 8, 5]))
    assert torch.equal(kept[[3, 0, 8, 5]], values.bfloat16())
    assert not kept[[1, 2, 4, 6, 7]].any()


def test_exp_is_right_to_the_last_bits() -> None:
    numbers = np.linspace(-87, 0, 2001, dtype=np.float32)
    made = np.array([exp(number) for number in numbers])
    assert np.abs(made / np.exp(numbers.astype(np.float64)) - 1).max() < 3e-7
    assert exp(np.float32(-1000)) < 1e-37


def test_the_gate_is_silu() -> None:
    gate, up = torch.linspace(-30, 30, 64).view(2, 32), torch.randn(2, 32)
    wanted = torch.nn.functional.silu(gate) * up
    kernels.swiglu(gate.numpy(), up.numpy())
    assert torch.allclose(gate, wanted, rtol=1e-5, atol=1e-9)


def test_shapes_without_a_kernel_are_left_to_torch() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    def covered(block_tokens: int = 16, **other: Any) -> bool:
        shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "vocab_size": 64}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
        model = LlamaForCausalLM(LlamaConfig(**shape | heads | other))
        dim = model.config.head_dim
        return SmallBatch.covers(model, KvPool.create(KvShape(1, 2, dim, block_tokens, "float32"), 4))

    assert covered()
    assert not covered(intermediate_size=120)
    assert not covered(head_dim=12)
    assert not covered(vocab_size=63)
    assert not covered(mlp_bias=True)
    assert not covered(block_tokens=6)


def test_where_numba_has_changed_the_kernels_are_done_without(tmp_path: Path) -> None:
    """A private function of numba's is taken away, and nothing that was compiled earlier is at hand."""
    code = (
        "import os, sys; from numba.core import cgutils; from engine.live.compute.kernels import if_compiled;"
        "del cgutils.get_or_insert_function; os.environ['SPLIT_KITCHEN_CACHE'] = sys.argv[1];"
        "from engine.live.compute.measure_dtypes import _kernel; sys.exit(if_compiled(_kernel) is not None)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert "torch computes small batches (" in ran.stderr
    assert "get_or_insert_function" in ran.stderr


def test_kernels_need_no_folder_to_keep_them_in(tmp_path: Path) -> None:
    """As where everything is read-only: compiled for this process, and forgotten."""
    (tmp_path / "file").touch()
    assert compiles(SPLIT_KITCHEN_CACHE=str(tmp_path / "file"), HOME=str(tmp_path / "file"))
    assert os.listdir(tmp_path) == ["file"]


def test_kernels_are_kept_beside_a_disk_that_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1024) as disk:
        home = tmp_path / "home"
        home.mkdir()
        assert compiles(SPLIT_KITCHEN_CACHE=str(disk), HOME=str(home))
        assert not any(path.is_file() for path in disk.rglob("*"))
        assert any(home.rglob("*.nbi"))


def compiles(**environment: str) -> bool:
    """Whether a kernel can be used in a process with these variables."""
    code = "import numpy as np; from engine.live.compute.kernels.numbers import exp; print(exp(np.float32(0)))"
    line = [sys.executable, "-c", code]
    ran = subprocess.run(line, env=os.environ | environment, capture_output=True, text=True, check=True)
    return float(ran.stdout) == 1.0 and not ran.stderr
