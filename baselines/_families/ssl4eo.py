"""SSL4EO-S12's published files, without torch."""

from __future__ import annotations

from typing import NamedTuple


class PublishedFile(NamedTuple):
    """A published network; its variant is named by method, network and sensor."""

    params: int
    place: str  # repository on Hugging Face, and revision
    name: str
    sha256: str  # its first digits; "" where none is published


def _torchgeo(params: int, repository: str, revision: str, sha256: str) -> PublishedFile:
    return PublishedFile(
        params, f"torchgeo/{repository}/resolve/{revision}", f"{repository}-{sha256}.pth", sha256
    )


def _authors(params: int, name: str) -> PublishedFile:
    place = "wangyi111/SSL4EO-S12/resolve/75c72195d35201dc1fb210818993518c25da566b"
    return PublishedFile(params, place, name, "")


# Source: torchgeo 0.8.1 models/resnet.py and models/vit.py.
PUBLISHED = {
    "moco_resnet50_s2": _torchgeo(
        23_539_392,
        "resnet50_sentinel2_all_moco",
        "da4f3c9dbe09272eb902f3b37f46635fa4726879",
        "df8b932e",
    ),
    "moco_resnet50_s1": _torchgeo(
        23_504_896,
        "resnet50_sentinel1_all_moco",
        "e79862c667853c10a709bdd77ea8ffbad0e0f1cf",
        "906e4356",
    ),
    "moco_resnet50_rgb": _torchgeo(
        23_508_032,
        "resnet50_sentinel2_rgb_moco",
        "efd9723b59a88e9dc1420dc1e96afb25b0630a3c",
        "2b57ba8b",
    ),
    "moco_resnet18_s2": _torchgeo(
        11_207_872,
        "resnet18_sentinel2_all_moco",
        "5b8cddc9a14f3844350b7f40b85bcd32aed75918",
        "59bfdff9",
    ),
    "moco_resnet18_rgb": _torchgeo(
        11_176_512,
        "resnet18_sentinel2_rgb_moco",
        "e1c032e7785fd0625224cdb6699aa138bb304eec",
        "e3a335e3",
    ),
    "dino_resnet50_s2": _torchgeo(
        23_539_392,
        "resnet50_sentinel2_all_dino",
        "d7f14bf5530d70ac69d763e58e77e44dbecfec7c",
        "d6c330e9",
    ),
    "dino_vit_small_s2": _torchgeo(
        22_648_704,
        "vit_small_patch16_224_sentinel2_all_dino",
        "5b41dd418a79de47ac9f5be3e035405a83818a62",
        "36bcc127",
    ),
    "moco_vit_small_s2": _torchgeo(
        22_648_704,
        "vit_small_patch16_224_sentinel2_all_moco",
        "1cb683f6c14739634cdfaaceb076529adf898c74",
        "67c9032d",
    ),
    "mae_vit_small_s2": _authors(22_648_704, "B13_vits16_mae_ep99_enc.pth"),
    "mae_vit_small_s1": _authors(21_567_360, "B2_vits16_mae_ep99_enc.pth"),
    "mae_vit_base_s2": _authors(87_764_736, "B13_vitb16_mae_ep99_enc.pth"),
    "mae_vit_base_s1": _authors(85_602_048, "B2_vitb16_mae_ep99_enc.pth"),
    "mae_vit_large_s2": _authors(305_923_072, "B13_vitl16_mae_ep99_enc.pth"),
    "mae_vit_large_s1": _authors(303_039_488, "B2_vitl16_mae_ep99_enc.pth"),
    "mae_vit_huge_s2": _authors(633_273_600, "B13_vith14_mae_ep199_enc.pth"),
    "mae_vit_huge_s1": _authors(630_513_920, "B2_vith14_mae_ep199_enc.pth"),
}
