"""SatLas: supervised on SatlasPretrain's labels, a network for each sensor and backbone.

Backbones are Swin V2 (base, tiny) and ResNet (50, 152); "si" are for single images, "mi" for
several of a place, of which each stage's maximum is taken. Names are those of the authors' files.

Sentinel-2's networks read the 8-bit colour product (TCI). The datasets here have reflectance, so
that is scaled as the product is. For Sentinel-1, whose networks read uncalibrated numbers, and for
Landsat see `leads`.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, UINT8, ModelCard, Sensor, UsageError, WeightsSource

from ._families.resnet import PARTS
from ._families.settings import choose

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

RGB = ("red", "green", "blue")
SENSORS = {
    "aerial": Sensor("hr", RGB, 1.0, UINT8),
    "sentinel2_rgb": Sensor("s2", RGB, 10.0, REFLECTANCE),
    "sentinel2_ms": Sensor(
        "s2",
        (*RGB, "rededge071", "rededge075", "rededge078", "nir", "swir16", "swir22"),
        10.0,
        REFLECTANCE,
    ),
    "sentinel1": Sensor("s1", ("vh", "vv"), 10.0, DB),
    "landsat": Sensor(
        "landsat",
        (
            *("coastal", "blue", "green", "red", "nir08", "swir16", "swir22", "pan", "cirrus"),
            *("lwir11", "lwir12"),
        ),
        30.0,
        REFLECTANCE,
    ),
}
TCI = 3558.0  # what the 8-bit colour product shows as 255, reflectance x 1e4
AMPLITUDE = 474.0  # Sentinel-1's 16-bit number at 0 dB
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
LEADS = {
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


@dataclass(frozen=True)
class Arch:
    """Settings of a network."""

    sensor: str  # of SENSORS
    temporal: bool = False
    width: int = 128  # channels of the first stage; of a ResNet's before the factor of 4
    depths: tuple[int, int, int, int] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)  # (): a ResNet
    fpn: bool = False  # the pyramid is that of the authors' FPN, which is in their files only

    @property
    def channels(self) -> int:
        """Of the input."""
        return len(SENSORS[self.sensor].bands)

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        """(channels, stride) of the stages."""
        first = self.width if self.heads else 4 * self.width
        return tuple((first << i, 4 << i) for i in range(len(self.depths)))


FPN_DIMS = 128
BACKBONES = {
    "swinb": ("Swin-B", Arch("aerial")),
    "swint": ("Swin-T", Arch("aerial", False, 96, (2, 2, 6, 2), (3, 6, 12, 24))),
    "resnet50": ("ResNet-50", Arch("aerial", False, 64, (3, 4, 6, 3), ())),
    "resnet152": ("ResNet-152", Arch("aerial", False, 64, (3, 8, 36, 3), ())),
}
# Counted, with 3 input channels, without the unused norm and classifier; then of one channel more.
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
# Each reduced network and the published one that it stands for.
TINY = {
    "tiny": "aerial_swinb_si",
    "tiny_sentinel2_ms": "sentinel2_swinb_si_ms",
    "tiny_sentinel2_rgb": "sentinel2_swinb_si_rgb",
    "tiny_sentinel1": "sentinel1_swinb_si",
    "tiny_landsat": "landsat_swinb_si",
    "tiny_temporal": "sentinel2_swinb_mi_ms",
    "tiny_resnet50": "sentinel2_resnet50_si_ms",
}


def _arch(name: str) -> Arch:
    """The settings of a published network, which its name says."""
    sensor, backbone, images, *bands = name.split("_")
    return dataclasses.replace(
        BACKBONES[backbone][1], sensor="_".join((sensor, *bands)), temporal=images == "mi"
    )


def _tiny(name: str) -> Arch:
    arch = _arch(TINY[name])
    if not arch.heads:
        return dataclasses.replace(arch, width=8, depths=(1, 1, 1, 1))
    return dataclasses.replace(arch, width=16, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8))


VARIANTS = {n: _arch(n) for n in HASHES} | {n: _tiny(n) for n in TINY}
# The first five: one for each input.
PICK = {"full": tuple(TINY.values())[:5], "tiny": tuple(TINY)[:5]}


def card(variant: str, **arch: Any) -> ModelCard:
    """The card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, choose(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    if arch.sensor not in SENSORS:
        raise UsageError(f"Expected sensor to be one of {', '.join(SENSORS)}, not {arch.sensor!r}.")
    name = TINY.get(variant, variant)
    backbone = name.split("_")[1]
    params, more = PARAMS[backbone]
    images = "several dates" if arch.temporal else "one date"
    return ModelCard(
        name="satlas",
        title=f"SatLas ({BACKBONES[backbone][0]}, {arch.sensor.replace('_', ' ')}, {images})",
        row="paper",
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
        equals=f"torchvision {_stock(backbone)}, its first layer exchanged",
        leads=(
            "Which network SkySense's row is of was not seen; Swin-B is the natural choice.",
            "Files of single and of several images, and the colour networks of aerial images and "
            "Sentinel-2, have equal shapes: give the variant with the file.",
            *LEADS[arch.sensor],
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
    )


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """The network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.satlas import SatLas

    chosen = choose(VARIANTS, variant, arch)
    return SatLas(_card(variant, chosen), chosen)


FPN = "intermediates.0.fpn."
PREFIX = re.compile(r"((?:backbone\.)*)(?:resnet\.)?")
COMPUTED = ("relative_coords_table", "relative_position_index")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From torchgeo's file with bare keys, or the authors' of the whole network."""
    own = {}
    for key, tensor in state.items():
        bare = key.removeprefix("module.")
        if bare.startswith(FPN):
            own["fpn." + bare.removeprefix(FPN)] = tensor
            continue
        bare = PREFIX.sub("", bare, count=1)
        if bare.split(".")[0] in ("features", *PARTS) and not bare.endswith(COMPUTED):
            own[f"net.{bare}"] = tensor
    return own


STEMS = ("features.0.0.weight", "resnet.conv1.weight")
BLOCK = re.compile(r"net\.(?:features\.|layer)([1-7])\.(\d+)\.")


def variant_of(state: dict[str, Tensor]) -> str:
    """The published network whose authors' file this is; "" where several files look alike.

    torchgeo's do not tell single images from several.
    """
    own = convert(state)
    blocks = sorted({found.groups() for key in own if (found := BLOCK.match(key))})
    nested = max((key.count("backbone.") for key in state if key.endswith(STEMS)), default=0)
    fitting = []
    for name in HASHES:
        arch = VARIANTS[name]
        stem = own.get("net.features.0.0.weight" if arch.heads else "net.conv1.weight")
        if (
            stem is not None
            and tuple(stem.shape[:2]) == (arch.width, arch.channels)
            and tuple(Counter(stage for stage, _ in blocks).values()) == arch.depths
            and nested == 1 + bool(arch.heads) + arch.temporal
        ):
            fitting.append(name)
    return fitting[0] if len(fitting) == 1 else ""
