"""The layout of KV, on which sender and receiver must agree. No torch: the front needs it too."""

import msgspec

BYTES_PER_ELEMENT = {"float32": 4, "bfloat16": 2, "float16": 2}


class KvShape(msgspec.Struct, frozen=True):
    """`dtype` is a torch dtype's name, as "bfloat16"."""

    layers: int
    kv_heads: int
    head_dim: int
    block_tokens: int
    dtype: str

    @property
    def bytes_per_token(self) -> int:
        """2 x layers x kv heads x head dim x bytes per element: keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * BYTES_PER_ELEMENT[self.dtype]

    @property
    def row_bytes(self) -> int:
        """Bytes of one block's keys or values in one layer, which are contiguous."""
        return self.tray_bytes(1) // (2 * self.layers)

    def tray_bytes(self, blocks: int) -> int:
        """Bytes of `blocks` whole blocks, over all layers."""
        return blocks * self.block_tokens * self.bytes_per_token
