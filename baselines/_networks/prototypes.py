"""Geo-context prototypes: learned vectors of a region, to which features in it attend.

They follow the description in SkySense (arXiv 2312.10115). Code and tensors are unpublished, so
the division of the globe, the number of prototypes and the scale are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def region_of(lonlat: Tensor, rows: int, columns: int) -> Tensor:
    """Region index of each location, int64 [B]; -1 if a coordinate is unknown (NaN).

    lonlat: degrees, [B, 2]. The globe is cut into rows x columns cells of equal area: rows are
    equal steps of the latitude's sine, columns of the longitude.

    >>> region_of(torch.tensor([[-180.0, -90.0], [179.9, 89.9], [float("nan"), 0.0]]), 2, 4)
    tensor([ 0,  7, -1])
    """
    lon, lat = lonlat.double().unbind(-1)
    row = ((torch.sin(torch.deg2rad(lat)) + 1) / 2 * rows).nan_to_num(0).long()
    column = ((lon + 180) / 360 * columns).nan_to_num(0).floor().long() % columns
    region = row.clamp(0, rows - 1) * columns + column
    return torch.where(lonlat.isnan().any(-1), -1, region)


class Prototypes(nn.Module):
    """[B, C, h, w] -> [B, 2 C, h, w]: features, then their attention to the region's prototypes.

    Features are the queries, prototypes the keys and values of softmax(q k / sqrt(C)). For unknown
    locations the second half is zeros.
    """

    def __init__(self, rows: int, columns: int, count: int, dims: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.values = nn.Parameter(0.02 * torch.randn(rows * columns, count, dims))

    def forward(self, x: Tensor, lonlat: Tensor) -> Tensor:
        region = region_of(lonlat.to(x.device), self.rows, self.columns)
        own = self.values[region.clamp(min=0)]  # [B, count, C]
        queries = x.flatten(2).mT  # [B, h w, C]
        weights = (queries @ own.mT / x.shape[1] ** 0.5).softmax(-1)
        context = (weights @ own) * (region >= 0)[:, None, None]
        return torch.cat([x, context.mT.reshape(x.shape)], 1)
