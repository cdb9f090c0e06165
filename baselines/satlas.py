"""SatLas: supervised on SatlasPretrain's labels, one network per sensor and backbone.

Backbones are Swin V2 (base, tiny) and ResNet (50, 152); "si" reads single images, "mi" several
images of a location, with the maximum over images at each stage. The names of the variants are
those of the authors' files.

Sentinel-2's networks read the 8-bit true-colour product (TCI). The datasets here have reflectance,
which is scaled to match. For Sentinel-1, whose networks read uncalibrated digital numbers, and for
Landsat see `caveats`.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard, UsageError, WeightsSource

from ._families.resnet import PARTS
from ._families.satlas import AMPLITUDE, FPN_DIMS, SENSORS, TCI, Arch
from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

NORMALISATION = {
    "aerial": "x / 255",
    "sentinel2_rgb": f"x / {TCI:.0f}, cut off at 1: the 8-bit product / 255",
    "sentinel2_ms": f"colours x / {TCI:.0f}, the others x / 8160, cut off at 1",
    "sentinel1": f"{AMPLITUDE:.0f} · 10^(dB / 20) / 255, cut off at 1",
    "landsat": "(x + 200) / 3264, cut off at 0 and 1: (N - 4000) / 16320 of level 1's numbers",
}
COLOURS = (
    "That the 8-bit colour product reaches 255 at a reflectance of 0.3558 is not in the authors' "
    "repository: unverified. The networks were trained on level 1C."
)
CAVEATS = {
    "aerial": (),
    "sentinel2_rgb": (COLOURS,),
    "sentinel2_ms": (COLOURS,),
    "sentinel1": (
        "The networks read GRD's 16-bit amplitudes as they are. That they are 474 at 0 dB is our "
        "assumption, of the size of the products' calibration tables: unverified.",
    ),
    "landsat": (
        "Level 1's numbers are taken for 5 x + 5000 (their reflectance is 2e-5 N - 0.1, before the "
        "sun's angle), in the thermal bands too, which have none: no dataset here has Landsat.",
    ),
}


BACKBONES = {
    "swinb": ("Swin-B", Arch("aerial")),
    "swint": ("Swin-T", Arch("aerial", False, 96, (2, 2, 6, 2), (3, 6, 12, 24))),
    "resnet50": ("ResNet-50", Arch("aerial", False, 64, (3, 4, 6, 3), ())),
    "resnet152": ("ResNet-152", Arch("aerial", False, 64, (3, 8, 36, 3), ())),
}
# Counted with 3 input channels, without the unused norm and classifier; then per further channel.
PARAMS = {
    "swinb": (86_903_800, 2048),
    "swint": (27_581_034, 1536),
    "resnet50": (23_508_032, 3136),
    "resnet152": (58_143_808, 3136),
}
# The published networks, and the hash in the name of torchgeo's copy of each.
HASHES = {
    "aerial_swinb_si": "e4169eb1",
    "aerial_swinb_mi": "326d69e1",
    "sentinel2_swinb_si_rgb": "156a98d5",
    "sentinel2_swinb_si_ms": "fe22a12c",
    "sentinel2_swinb_mi_rgb": "4efa210c",
    "sentinel2_swinb_mi_ms": "39c86721",
    "sentinel2_swint_si_rgb": "0c1a96e0",
    "sentinel2_swint_si_ms": "bc68e396",
    "sentinel2_swint_mi_rgb": "424d91f4",
    "sentinel2_swint_mi_ms": "d8c659e3",
    "sentinel2_resnet50_si_rgb": "45fc6972",
    "sentinel2_resnet50_si_ms": "1f454cc6",
    "sentinel2_resnet50_mi_rgb": "e79bb7fe",
    "sentinel2_resnet50_mi_ms": "da5413d2",
    "sentinel2_resnet152_si_rgb": "f4d24c3c",
    "sentinel2_resnet152_si_ms": "4500c6cb",
    "sentinel2_resnet152_mi_rgb": "67563ac5",
    "sentinel2_resnet152_mi_ms": "fd35b4bb",
    "sentinel1_swinb_si": "3981c153",
    "sentinel1_swinb_mi": "f6c43d97",
    "landsat_swinb_si": "4af978f6",
    "landsat_swinb_mi": "6b4a1cda",
}
# Each reduced network -> the published network that it stands for.
REDUCED = {
    "tiny": "aerial_swinb_si",
    "tiny_sentinel2_ms": "sentinel2_swinb_si_ms",
    "tiny_sentinel2_rgb": "sentinel2_swinb_si_rgb",
    "tiny_sentinel1": "sentinel1_swinb_si",
    "tiny_landsat": "landsat_swinb_si",
    "tiny_temporal": "sentinel2_swinb_mi_ms",
    "tiny_resnet50": "sentinel2_resnet50_si_ms",
}


def _arch(name: str) -> Arch:
    """Derive the settings of a published network from its name."""
    sensor, backbone, images, *bands = name.split("_")
    return dataclasses.replace(
        BACKBONES[backbone][1], sensor="_".join((sensor, *bands)), temporal=images == "mi"
    )


def _tiny(name: str) -> Arch:
    arch = _arch(REDUCED[name])
    if not arch.heads:
        return dataclasses.replace(arch, width=8, depths=(1, 1, 1, 1))
    return dataclasses.replace(arch, width=16, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8))


VARIANTS = {n: _arch(n) for n in HASHES} | {n: _tiny(n) for n in REDUCED}
# The first five: one for each input.
PICK = {"full": tuple(REDUCED.values())[:5], "tiny": tuple(REDUCED)[:5]}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    if arch.sensor not in SENSORS:
        raise UsageError(f"Expected sensor to be one of {', '.join(SENSORS)}, not {arch.sensor!r}.")
    name = REDUCED.get(variant, variant)
    backbone = name.split("_")[1]
    params, more = PARAMS[backbone]
    images = "several dates" if arch.temporal else "one date"
    return ModelCard(
        name="satlas",
        title=f"SatLas ({BACKBONES[backbone][0]}, {arch.sensor.replace('_', ' ')}, {images})",
        group="paper",
        inputs=(SENSORS[arch.sensor],),
        dim=arch.stages[-1][0],
        levels=tuple((FPN_DIMS, s) for _, s in arch.stages) if arch.fpn else arch.stages,
        paper="Bastani et al., SatlasPretrain, ICCV 2023, arXiv:2211.15660",
        code=(
            "github:allenai/satlas@c8b9aa5 satlas/model/model.py, Normalization.md; "
            "github:allenai/satlaspretrain_models@7b5cd45 satlaspretrain_models/"
        ),
        licence="Apache-2.0",
        weights=_weights(name),
        pretraining="Supervised: 302 million labels of seven kinds (the paper's abstract).",
        normalisation=f"{NORMALISATION[arch.sensor]} (Normalization.md)",
        pooling="mean of the last stage, without the norm after it: ours, none is official",
        params=params + more * (len(SENSORS[arch.sensor].bands) - 3),
        equivalent_to=f"torchvision {_stock(backbone)}, its first layer exchanged",
        caveats=(
            "Which network SkySense's row is of was not seen; Swin-B is the natural choice.",
            "Files of single and of several images, and the colour networks of aerial images and "
            "Sentinel-2, have equal shapes: give the variant with the file.",
            *CAVEATS[arch.sensor],
        ),
        temporal=arch.temporal,
        min_pixels=32,
        multiple=32,
    )


def _stock(backbone: str) -> str:
    return backbone.replace("swin", "swin_v2_")


def _weights(name: str) -> WeightsSource:
    filename = f"{name}-{HASHES[name]}.pth"
    return WeightsSource(
        filename=filename,
        obtain=(
            f"Download {filename}, torchgeo's copy of the backbone, from "
            "https://huggingface.co/torchgeo/satlas. The authors' file, with the FPN, is "
            f"https://huggingface.co/allenai/satlas-pretrain/resolve/main/{name}.pth: pass it by "
            "--weights PATH."
        ),
        licence="ODC-BY",
        url=(
            "https://hf.co/torchgeo/satlas/resolve/081d6607431bf36bdb59c223777cbb267131b8f2/"
            + filename
        ),
        sha256=HASHES[name],
        prefix="none; in the authors' file backbone. once or more, then resnet. or nothing",
        variants=(name,),
        unused=("*intermediates.*",),  # the layers between the FPN and the heads
    )


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.satlas import SatLas

    chosen = variant_settings(VARIANTS, variant, arch)
    return SatLas(_card(variant, chosen), chosen)


FPN = "intermediates.0.fpn."
PREFIX = re.compile(r"((?:backbone\.)*)(?:resnet\.)?")
COMPUTED = ("relative_coords_table", "relative_position_index")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map torchgeo's bare keys, or the authors' of the whole network, to ours."""
    ours = {}
    for key, tensor in state.items():
        bare = key.removeprefix("module.")
        if bare.startswith(FPN):
            ours["fpn." + bare.removeprefix(FPN)] = tensor
            continue
        bare = PREFIX.sub("", bare, count=1)
        if bare.split(".")[0] in ("features", *PARTS) and not bare.endswith(COMPUTED):
            ours[f"net.{bare}"] = tensor
    return ours


STEMS = ("features.0.0.weight", "resnet.conv1.weight")
BLOCK = re.compile(r"net\.(?:features\.|layer)([1-7])\.(\d+)\.")


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published network of an authors' file; "" if several have the same keys.

    torchgeo's files do not distinguish single images from several.
    """
    ours = convert(state)
    blocks = sorted({found.groups() for key in ours if (found := BLOCK.match(key))})
    nested = max((key.count("backbone.") for key in state if key.endswith(STEMS)), default=0)
    fitting = []
    for name in HASHES:
        arch = VARIANTS[name]
        stem = ours.get("net.features.0.0.weight" if arch.heads else "net.conv1.weight")
        if (
            stem is not None
            and tuple(stem.shape[:2]) == (arch.width, arch.channels)
            and tuple(Counter(stage for stage, _ in blocks).values()) == arch.depths
            and nested == 1 + bool(arch.heads) + arch.temporal
        ):
            fitting.append(name)
    return fitting[0] if len(fitting) == 1 else ""
