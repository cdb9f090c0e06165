"""SatViT: masked autoencoders of Sentinel-1 and Sentinel-2 with 15 undocumented channels.

The repository says "optical-SAR (15 channels)"; its tutorial has 12 optical and 4 SAR channels for
an older model. So users must state the channels, in the network's order, as `sensor:band`:

    load_model("satvit", path, "v2", channels=("s2:coastal", ..., "s1a:vv", "s1a:vh"))

Without them the network is built and loaded, but cannot run.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, UsageError, WeightsSource

from ._families.resnet import Standardise
from ._families.settings import variant_settings
from ._families.vit import ViTArch, vit_card, vit_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CHANNELS = 15  # of the published networks
# Mean and deviation of each channel of the pre-training data, reflectance x 1e4 and dB. Of the
# orbits, a sensor without a known orbit ("s1") gets the ascending orbit's.
# Source: github:antofuller/SatViT@b945f03 tutorials/README.md
S1A = {"vv": (-10.97, 3.667), "vh": (-17.915, 4.514)}
STATISTICS = {
    "s2": {
        "coastal": (884.73, 1254.27),
        "blue": (958.79, 1269.50),
        "green": (1144.48, 1201.97),
        "red": (1152.33, 1262.48),
        "rededge071": (1559.36, 1241.11),
        "rededge075": (2384.06, 1175.84),
        "rededge078": (2680.85, 1203.69),
        "nir": (2769.13, 1223.69),
        "nir08": (2886.83, 1193.58),
        "nir09": (3064.97, 1439.51),
        "swir16": (2169.63, 998.30),
        "swir22": (1491.03, 907.84),
    },
    "s1": S1A,
    "s1a": S1A,
    "s1d": {"vv": (-10.967, 3.693), "vh": (-18.023, 4.493)},
}
UNITS = {"s2": REFLECTANCE, "s1": DB, "s1a": DB, "s1d": DB}
STATE = 'state the 15 channels by load_model(channels=("s2:blue", ...)): no publication lists them'


@dataclass(frozen=True)
class Arch:
    """Settings of the network; the defaults are those of SatViT-V2."""

    image: int = 256
    patch: int = 8
    dim: int = 768
    depth: int = 12
    heads: int = 12  # the class in the repository defaults to 16, the README says 12
    channels: tuple[str, ...] = ()  # as "s2:blue", in the network's order; (): not stated

    @property
    def vit(self) -> ViTArch:
        """The settings of the network as a plain ViT."""
        return ViTArch(
            self.image, self.patch, self.dim, self.depth, self.heads,
            channels=len(self.channels) or CHANNELS, class_token=False, qkv_bias=False, eps=1e-5,
        )  # fmt: skip


VARIANTS = {
    "v2": Arch(),
    "v1": Arch(patch=16),
    "tiny": Arch(
        image=64, patch=8, dim=32, depth=2, heads=2,
        channels=tuple(f"s2:{band}" for band in STATISTICS["s2"]),
    ),
}  # fmt: skip
PICK = {"full": ("v2",), "tiny": ("tiny",)}
PARAMS = {"v2": 86_552_832, "v1": 88_174_848}


def _inputs(channels: tuple[str, ...]) -> tuple[Sensor, ...]:
    """Return the sensors of the stated channels, or without any a sensor that no dataset has."""
    if not channels:
        return (Sensor("s2", (STATE,), 10.0, REFLECTANCE),)
    bands: dict[str, list[str]] = {}
    for channel in channels:
        sensor, _, band = channel.partition(":")
        if band not in STATISTICS.get(sensor, ()) or band in bands.get(sensor, ()):
            known = ", ".join(f"{s}:{b}" for s, of in STATISTICS.items() for b in of)
            raise UsageError(
                f"Expected channels of satvit to be different ones among {known}, but got "
                f"{channel!r} in {channels!r}."
            )
        bands.setdefault(sensor, []).append(band)
    return tuple(Sensor(s, tuple(of), 10.0, UNITS[s]) for s, of in bands.items())


COMMON = ModelCard(
    name="satvit",
    title="SatViT",
    group="extra",
    inputs=(),
    dim=0,
    levels=(),
    paper=(
        "Fuller et al., SatViT, IEEE GRSL 19, 2022; V2: Transfer Learning with Pretrained Remote "
        "Sensing Transformers, arXiv:2209.14969"
    ),
    code="github:antofuller/SatViT@b945f03 SatViT_model.py, transformer_model.py, tutorials/",
    licence="MIT",
    pretraining=(
        "Masked autoencoding of 1.3 million images of 256 pixels, each the mean of a month: "
        "Sentinel-2 level 2A and Sentinel-1 (the authors' own set)."
    ),
    normalisation="(x - mean) / deviation of each channel; tutorials/README.md",
    pooling="mean of all normed tokens, as in the tutorial's fine-tuning",
    equivalent_to="timm VisionTransformer without class token and without bias of q, k and v",
    caveats=(
        "which 15 channels the networks read, and in which order, is documented nowhere: they must "
        "be stated (channels), and what is stated is not verified",
        "the statistics are the tutorial's, for 12 optical and 4 radar channels of an older model",
        "all stated sensors are needed at once: it was not trained with some missing",
        "other sizes than 256 pixels: positions are interpolated, a choice of ours; the tutorial "
        "leaves it to the user",
        "the tiny variant reads 12 bands of Sentinel-2, in order to have something to read",
        "the files' hashes are not published",
    ),
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant with `arch` in `Arch`. Raises UsageError for bad channels."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    version = "v1" if variant == "v1" else "v2"
    filename = f"SatViT_{version.upper()}.pt"
    url = f"https://github.com/antofuller/SatViT/releases/download/pretrained_weights/{filename}"
    base = dataclasses.replace(
        COMMON,
        title=f"SatViT-{version.upper()} (ViT-B/{VARIANTS[version].patch})",
        inputs=_inputs(arch.channels),
        weights=WeightsSource(
            filename=filename,
            obtain=f"Download it from {url}.",
            licence="MIT (the repository)",
            url=url,
            container="none",
            prefix="none",
            variants=(version,),
        ),
        params=PARAMS[version],
    )
    return vit_card(base, arch.vit)


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.satvit import SatViT

    chosen = variant_settings(VARIANTS, variant, arch)
    base = _card(variant, chosen)  # refuses channels that are not in STATISTICS
    pairs = [STATISTICS[sensor][band] for sensor, band in (c.split(":") for c in chosen.channels)]
    scale = Standardise(tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs))
    return SatViT(base, chosen.vit, chosen.channels, scale)


RENAMED = (
    (r"\bencoder\.layers\.", "blocks."),
    (r"\b0\.input_norm\.", "norm1."),
    (r"\b0\.to_qkv\.", "attn.qkv."),
    (r"\b0\.to_out\.", "attn.proj."),
    (r"\b1\.input_norm\.", "norm2."),
    (r"\b1\.net\.0\.", "mlp.fc1."),
    (r"\b1\.net\.3\.", "mlp.fc2."),
    (r"\bencoder\.norm_out\.", "norm."),
    (r"\blinear_input\.", "patch_embed.proj."),
)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the encoder's keys to timm's names; the decoder is dropped.

    The patch embedding stays a matrix: `SatViT.adapt` reshapes it to the kernel.
    """
    renamed = {}
    for key, tensor in state.items():
        for theirs, ours in RENAMED:
            key = re.sub(theirs, ours, key)
        renamed[key] = tensor
    return vit_keys(renamed)


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the version of a published file; "" if none fits."""
    positions = convert(state).get("net.pos_embed")
    sizes = {(1, (a.image // a.patch) ** 2, a.dim): v for v, a in VARIANTS.items()}
    found = "" if positions is None else sizes.get((*positions.shape,), "")
    return found if found in PARAMS else ""
