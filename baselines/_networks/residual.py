"""Residual branches one after the other, as published files number them."""

from __future__ import annotations

from torch import Tensor, nn


class Branches(nn.Module):
    """x + first(x), then that + second(that), …; the parts are called "0", "1", …"""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.count = len(parts)
        for i, part in enumerate(parts):
            self.add_module(str(i), part)
            self.add_module(f"drop_path{i + 1}", nn.Identity())

    def forward(self, x: Tensor, *context: Tensor | None) -> Tensor:
        """context: what each part is given besides x."""
        for i in range(self.count):
            branch = self.get_submodule(str(i))(x, *context)
            x = x + self.get_submodule(f"drop_path{i + 1}")(branch)
        return x
