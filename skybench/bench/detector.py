"""Speed of a training step of Faster R-CNN, beside torchvision's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from skybench.bench.timing import Timing, time_beside
from skybench.boxes.geometry import from_horizontal
from skybench.core import Boxes
from skybench.heads._roi_stages import HIDDEN
from skybench.heads._two_stage import TwoStage
from skybench.heads.faster_rcnn import SETTINGS, HorizontalKind

IMAGES, SIDE, OBJECTS, CLASSES = 2, 512, 20, 20
WIDTH = 256  # of the pyramid
LEVELS = ((64, 4), (128, 8), (256, 16), (512, 32))  # of a ResNet-18
LAYERS = {f"layer{i + 1}": str(i) for i in range(4)}
ROUNDS = 5


def training_step() -> Timing:
    """Time forward, loss, backward and AdamW on a ResNet-18 with a feature pyramid, all trained.

    Both begin with the same weights and have the same images, objects, anchors, numbers of
    proposals and samples, and sampling within regions. On a GPU if there is one.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = resnet18(norm_layer=FrozenBatchNorm2d)
        network = TwoStage(HorizontalKind(), LEVELS, CLASSES, WIDTH)
        peer = _torchvision(copy.deepcopy(body), network)
        levels = IntermediateLayerGetter(body, LAYERS)
        images = torch.rand(IMAGES, 3, SIDE, SIDE, device=device)
        targets = [_objects(device) for _ in range(IMAGES)]
        theirs = [{"boxes": t.corners[:, ::2].flatten(1), "labels": t.labels + 1} for t in targets]
        steps = [
            _step([levels, network], device, lambda: network([*levels(images).values()], targets)),
            _step([peer], device, lambda: peer([*images], theirs)),
        ]
        for step in steps:
            step()  # memory is taken, kernels are chosen
        what = f"Faster R-CNN, a training step, {IMAGES} images of {SIDE} pixels, {device}"
        return time_beside(what, steps[0], "torchvision", steps[1], ROUNDS)


def _objects(device: str) -> Boxes:
    """Objects of a fiftieth to a quarter of the image."""
    corner, sides = torch.rand(OBJECTS, 2) * 0.7, torch.rand(OBJECTS, 2) * 0.23 + 0.02
    boxes = torch.cat([corner, corner + sides], 1) * SIDE
    easy = torch.zeros(OBJECTS, dtype=torch.bool)
    labels = torch.randint(0, CLASSES, (OBJECTS,))
    return Boxes(from_horizontal(boxes).to(device), labels.to(device), easy, (SIDE, SIDE))


def _torchvision(body: nn.Module, like: TwoStage) -> nn.Module:
    """torchvision's network with our settings and weights."""
    network: nn.Module = FasterRCNN(
        BackboneWithFPN(body, LAYERS, [channels for channels, _ in LEVELS], WIDTH),
        min_size=SIDE,
        max_size=SIDE,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_pre_nms_top_n_train=SETTINGS.pre_nms[0],
        rpn_post_nms_top_n_train=SETTINGS.post_nms[0],
        rpn_batch_size_per_image=like.proposer.samples,
        box_batch_size_per_image=like.namer.samples,
        box_roi_pool=MultiScaleRoIAlign([*LAYERS.values()], 7, sampling_ratio=0),
        box_head=copy.deepcopy(like.namer.body),
        box_predictor=FastRCNNPredictor(HIDDEN * WIDTH, CLASSES + 1),
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
