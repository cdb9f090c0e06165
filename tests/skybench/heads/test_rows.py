from __future__ import annotations

import pytest
import torch
from torch import Tensor

from skybench.heads.rows import CHUNK, RESIDENT, FeatureRows


def features(count: int, width: int) -> Tensor:
    made = torch.Generator().manual_seed(count)
    return 1000 + 0.5 * torch.randn(count, width, generator=made)


def whole(source: FeatureRows) -> Tensor:
    return torch.cat([x for _, x in source])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHUNK, "cpu", 4 * 8 * 64)  # 64 rows


@pytest.mark.usefixtures("small")
def test_chunks_are_all_rows_in_order() -> None:
    x = features(150, 8)
    found = list(FeatureRows(x))
    assert [part.start for part, _ in found] == [0, 64, 128]
    assert all(torch.equal(x[part], read) for part, read in found)


@pytest.mark.usefixtures("small")
def test_they_are_brought_to_mean_0_and_deviation_1() -> None:
    x = whole(FeatureRows(features(150, 8)).standardised())
    torch.testing.assert_close(x.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(8), atol=1e-4, rtol=0)


def test_few_rows_are_standardised_once_and_many_when_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = FeatureRows(features(150, 8)).standardised()
    kept = source.resident()
    assert kept.scale is None
    assert torch.equal(kept.x, whole(source))
    monkeypatch.setitem(RESIDENT, "cpu", 4 * 150 * 8 - 1)
    assert source.resident() is source


@pytest.mark.usefixtures("small")
def test_a_sample_is_a_copy_of_some_rows_of_each_chunk() -> None:
    source = FeatureRows(features(150, 8)).standardised()
    found, expected = source.sampled(50), torch.cat([x[::50] for _, x in source])
    assert torch.equal(found, expected)
    assert len(found) == 2 + 2 + 1
    # A view would keep its chunk, so all of them.
    assert found.untyped_storage().nbytes() == 4 * 8 * 5


def test_row_space_keeps_all_products() -> None:
    source = FeatureRows(features(20, 50)).standardised()
    inner, basis = source.in_row_space()
    assert inner.x.shape == (20, 20)
    torch.testing.assert_close(inner.x @ basis.T, whole(source), atol=1e-3, rtol=0)
    torch.testing.assert_close(basis.T @ basis, torch.eye(20), atol=1e-5, rtol=0)
