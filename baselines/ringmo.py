"""RingMo: masked modelling of aerial images by a Swin-B with a stem of three convolutions.

The architecture is public, the weights are not. Pre-trained at 192 pixels with windows of 6,
fine-tuned at 224 with 7: the window size is proportional to the image here, with a maximum of 7,
and the relative position tables are interpolated as the authors do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.settings import variant_settings
from ._families.swin import ScaledSwinArch, swin_card

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="ringmo",
    title="RingMo (Swin-B)",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    dim=1024,
    levels=((128, 4), (256, 8), (512, 16), (1024, 32)),
    paper="Sun et al., RingMo, IEEE TGRS 2022",
    code=(
        "github:comeony/RingMo@9078d16 ringmo_framework/models/backbone/swin_transformer.py "
        "(MindSpore)"
    ),
    licence="Apache-2.0",
    weights=WeightsSource(
        filename="ringmo_swin_base_p4_w6.pth",
        obtain=(
            "If you have a checkpoint, load it with MindSpore, save its parameters by cell path "
            "(encoder.layers.0.blocks.0.norm1.gamma, …) as a PyTorch state dict, and pass it by "
            "--weights PATH."
        ),
        licence="none: no file is public",
        prefix="encoder.",
        withheld="no checkpoint is public (the repository gives results and configurations only)",
    ),
    pretraining="Masked image modelling on the authors' own aerial and satellite images.",
    normalisation="ImageNet's mean and deviation of x / 255 (finetune_dataset.py)",
    pooling="mean of the normed last map, as the authors' classifier",
    params=86_728_056,
    caveats=(
        "The official code computes linear layers in float16; here all is float32.",
        "MindSpore 2.7 gives mangled names by parameters_dict(); keys are matched by cell path.",
        "The paper's pre-training images are not public, so leaks cannot be told.",
        "A ViT-B/16 is in the repository as well; it is not here.",
    ),
    min_pixels=192,  # of pre-training
    multiple=32,
)

VARIANTS = {
    "full": ScaledSwinArch(),
    "tiny": ScaledSwinArch(embed_dim=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
}
LARGEST = 7  # of the windows that the authors use, at 224 pixels (swin_base_p4_w7)


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.swin import swin_model
    from ._networks.swin import SwinOptions

    chosen = variant_settings(VARIANTS, variant, arch)
    form = SwinOptions(norms=(3,), eps=1e-6, merge_eps=1e-4, gelu="tanh", pi_conv=True)
    return swin_model(swin_card(CARD, chosen), chosen, form, LARGEST)


RENAMED = (
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"\.relative_position_bias\.", "."),
    (r"\.mlp\.mapping\.", ".mlp.fc1."),
    (r"\.mlp\.projection\.", ".mlp.fc2."),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
    (r"\.moving_mean$", ".running_mean"),
    (r"\.moving_variance$", ".running_var"),
    (r"^norm\.", "norms.3."),
)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map MindSpore's cell paths to our keys, with MindSpore's or PyTorch's parameter names.

    The two linear layers of an MLP may be stored as (in, out), as in MindSpore, or as in PyTorch.
    """
    prefix = "encoder." if any(key.startswith("encoder.") for key in state) else ""
    ours = {}
    for key, tensor in state.items():
        bare = key.removeprefix(prefix)
        if not key.startswith(prefix) or not bare.startswith(("patch_embed.", "layers.", "norm.")):
            continue
        for published, renamed in RENAMED:
            bare = re.sub(published, renamed, bare)
        if bare.endswith(("_index", "attn_mask")):
            continue
        turned = bare.endswith("fc1.weight") and tensor.shape[0] < tensor.shape[1]
        turned |= bare.endswith("fc2.weight") and tensor.shape[0] > tensor.shape[1]
        ours[f"net.{bare}"] = tensor.T if turned else tensor
    return _joined(ours)


def _joined(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join separate query, key and value layers to one."""
    import torch

    joined = {}
    for key, tensor in ours.items():
        head, part, last = key.rpartition(".attn.")[0], *key.split(".")[-2:]
        if part == "q" and {f"{head}.attn.{p}.{last}" for p in "kv"} <= ours.keys():
            parts = [ours[f"{head}.attn.{p}.{last}"] for p in "qkv"]
            joined[f"{head}.attn.qkv.{last}"] = torch.cat(parts)
        elif part not in ("k", "v"):
            joined[key] = tensor
    return joined
