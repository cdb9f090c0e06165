"""Sequential residual branches, numbered as in published files."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBranches(nn.Module):
    """Applies residual branches in sequence, x = x + branch(x); their names are "0", "1", …"""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.count = len(parts)
        for i, part in enumerate(parts):
            self.add_module(str(i), part)
            self.add_module(f"drop_path{i + 1}", nn.Identity())

    def forward(self, x: Tensor, *context: Tensor | None) -> Tensor:
        """context: further arguments of each branch."""
        for i in range(self.count):
            branch = self.get_submodule(str(i))(x, *context)
            x = x + self.get_submodule(f"drop_path{i + 1}")(branch)
        return x
