"""Speed of a training step of Faster R-CNN, beside torchvision's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from skybench.bench.timing import Form, Peer, Timing, time_beside
from skybench.boxes.geometry import from_horizontal
from skybench.core import Boxes
from skybench.heads._roi_stages import HIDDEN
from skybench.heads._two_stage import TwoStage
from skybench.heads.faster_rcnn import SETTINGS, HorizontalKind

CLASSES = 20


class _Case(NamedTuple):
    images: int
    side: int  # in pixels
    objects: int  # an image
    width: int  # of the pyramid
    rounds: int


CASES = {
    "tiny": _Case(1, 64, 2, 8, 1), "short": _Case(2, 512, 20, 256, 2),
    "full": _Case(2, 512, 20, 256, 5),
}  # fmt: skip
LEVELS = ((64, 4), (128, 8), (256, 16), (512, 32))  # of a ResNet-18
LAYERS = {f"layer{i + 1}": str(i) for i in range(4)}
MUST = "<= 1.05"


def time_detector(form: Form) -> Timing:
    """Time forward, loss, backward and AdamW on a ResNet-18 with a feature pyramid, all trained.

    Both begin with the same weights and have the same images, objects, anchors, numbers of
    proposals and samples, and sampling within regions. On a GPU if there is one.
    """
    device, case = "cuda" if torch.cuda.is_available() else "cpu", CASES[form]
    count, side = case.images, case.side
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = resnet18(norm_layer=FrozenBatchNorm2d)
        network = TwoStage(HorizontalKind(), LEVELS, CLASSES, case.width)
        peer = _torchvision(copy.deepcopy(body), network, case)
        levels = IntermediateLayerGetter(body, LAYERS)
        images = torch.rand(count, 3, side, side, device=device)
        targets = [_objects(case, device) for _ in range(count)]
        theirs = [{"boxes": t.corners[:, ::2].flatten(1), "labels": t.labels + 1} for t in targets]
        ours, other = (
            _step([levels, network], device, lambda: network([*levels(images).values()], targets)),
            _step([peer], device, lambda: peer([*images], theirs)),
        )
        for step in (ours, other):
            step()  # memory is taken, kernels are chosen
        what = f"Faster R-CNN, a training step, {count} images of {side} pixels, {device}"
        return time_beside(what, ours, Peer("torchvision", other), case.rounds, MUST)


def _objects(case: _Case, device: str) -> Boxes:
    """Objects of a fiftieth to a quarter of the image."""
    count, side = case.objects, case.side
    corner, sides = torch.rand(count, 2) * 0.7, torch.rand(count, 2) * 0.23 + 0.02
    boxes = torch.cat([corner, corner + sides], 1) * side
    easy = torch.zeros(count, dtype=torch.bool)
    labels = torch.randint(0, CLASSES, (count,))
    return Boxes(from_horizontal(boxes).to(device), labels.to(device), easy, (side, side))


def _torchvision(body: nn.Module, like: TwoStage, case: _Case) -> nn.Module:
    """torchvision's network with our settings and weights."""
    network: nn.Module = FasterRCNN(
        BackboneWithFPN(body, LAYERS, [channels for channels, _ in LEVELS], case.width),
        min_size=case.side,
        max_size=case.side,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_pre_nms_top_n_train=SETTINGS.pre_nms[0],
        rpn_post_nms_top_n_train=SETTINGS.post_nms[0],
        rpn_batch_size_per_image=like.proposer.samples,
        box_batch_size_per_image=like.namer.samples,
        box_roi_pool=MultiScaleRoIAlign([*LAYERS.values()], 7, sampling_ratio=0),
        box_head=copy.deepcopy(like.namer.body),
        box_predictor=FastRCNNPredictor(HIDDEN * case.width, CLASSES + 1),
    )
    for own, name in (
        (like.pyramid, "backbone.fpn"),
        (like.proposer.conv, "rpn.head.conv.0.0"),
        (like.proposer.score, "rpn.head.cls_logits"),
        (like.proposer.offset, "rpn.head.bbox_pred"),
    ):
        network.get_submodule(name).load_state_dict(own.state_dict())
    return network


def _step(
    parts: list[nn.Module], device: str, losses: Callable[[], Mapping[str, Tensor]]
) -> Callable[[], Any]:
    parameters = [p for part in parts for p in part.to(device).train().parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)

    def run() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.stack([*losses().values()]).sum()
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.item()  # waits for the device

    return run
