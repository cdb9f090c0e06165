from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor
from torch.nn import functional as F

from skybench.core import FitContext
from skybench.heads import knn
from skybench.heads.knn import KNN, largest, nearest_neighbours

from . import _pooled
from ._memory import Largest
from ._pooled import Memory, answers, random_centres


def vote(similarity: Tensor, labels: Tensor, k: int, classes: int) -> Tensor:
    """The vote of neighbours with labels like similarity [Q, k]."""
    index = torch.arange(labels.numel()).view(labels.shape)
    return knn.vote(similarity, index, labels.flatten(), k, classes)


def clusters(count: int, seed: int, classes: int = 3, noise: float = 0.8) -> Memory:
    return _pooled.clusters(count, seed, random_centres(classes, 6), noise)


def fitted(k: int, train: Memory, monkeypatch: pytest.MonkeyPatch, classes: int) -> KNN:
    monkeypatch.setattr(knn, "NEIGHBOURS", (k,))
    head = KNN(classes, refit=False)
    head.fit(train, clusters(10, 5, classes), FitContext(0))
    return head


@pytest.mark.parametrize("k", [1, 3, 5, 11, 25])
def test_it_equals_scikit_learn_where_there_are_no_ties(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = clusters(61, 0, 2, 2.0), clusters(40, 1, 2, 2.0)
    oracle = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
    expected = oracle.fit(train.features.numpy(), train.ids.numpy()).predict(test.features.numpy())
    found = answers(fitted(k, train, monkeypatch, 2).predict(test))
    assert found == expected.tolist()
    assert 0 < sum(found) < 40


def test_a_vote_of_three_classes_equals_scikit_learn_outside_ties(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, test = clusters(60, 0, 3, 2.0), clusters(80, 1, 3, 2.0)
    oracle = KNeighborsClassifier(5, metric="cosine", algorithm="brute")
    oracle.fit(train.features.numpy(), train.ids.numpy())
    shares = torch.from_numpy(oracle.predict_proba(test.features.numpy())).sort(1).values
    clear = shares[:, -1] - shares[:, -2] > 0.1
    expected = torch.from_numpy(oracle.predict(test.features.numpy()))
    found = torch.tensor(answers(fitted(5, train, monkeypatch, 3).predict(test)))
    assert 40 < clear.sum() < 80
    assert torch.equal(found[clear], expected[clear])


def test_neighbours_are_the_nearest_by_cosine() -> None:
    bank, queries = clusters(20, 0).features, clusters(7, 1).features
    similarity, index = nearest_neighbours(bank, 100 * queries, 4)  # length does not matter
    every = F.cosine_similarity(queries[:, None], bank[None], dim=2)
    expected = every.sort(1, descending=True)
    torch.testing.assert_close(similarity, expected.values[:, :4])
    assert torch.equal(index, expected.indices[:, :4])


def test_a_tie_goes_to_the_larger_similarity() -> None:
    similarity = torch.tensor([[0.9, 0.8, 0.7, 0.65], [0.9, 0.8, 0.7, 0.5]])
    labels = torch.tensor([[0, 1, 1, 0], [0, 1, 1, 0]])
    assert vote(similarity, labels, 4, 2).argmax(1).tolist() == [0, 1]
    assert vote(similarity, labels, 3, 2).argmax(1).tolist() == [1, 1]
    assert vote(similarity, labels, 1, 2).argmax(1).tolist() == [0, 0]


def test_a_tie_of_many_votes_goes_to_the_larger_similarity() -> None:
    similarity = torch.linspace(0.9, 0.1, 200)[None].repeat(2, 1)
    labels = (torch.arange(200) % 2)[None].repeat(2, 1)
    labels[1] = 1 - labels[1]
    assert vote(similarity, labels, 200, 2).argmax(1).tolist() == [0, 1]
    # Nearly equal sums must still be told apart.
    similarity = torch.full((2, 200), 0.5)
    similarity[0, 0], similarity[1, 1] = 0.502, 0.502
    labels[1] = labels[0]
    assert vote(similarity, labels, 200, 2).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize("k", [2, 3, 21, 199, 200])
def test_similarity_never_outweighs_a_vote(k: int) -> None:
    few = (k - 1) // 2
    labels = torch.tensor([[0] * few + [1] * (k - few)])
    similarity = torch.tensor([[1.0] * few + [-1.0] * (k - few)])
    assert vote(similarity, labels, k, 2).argmax(1).tolist() == [1]


def test_more_neighbours_than_the_bank_holds_are_not_tried() -> None:
    head = KNN(2, refit=False)
    chosen = head.fit(clusters(7, 0, 2), clusters(10, 1, 2), FitContext(0))
    assert list(chosen["sweep"]) == ["1", "3", "5"]
    assert len(answers(head.predict(clusters(4, 2, 2)))) == 4
    one = KNN(2, refit=False)
    single = Memory(torch.ones(1, 6), torch.tensor([1]))
    assert one.fit(single, single, FitContext(0))["k"] == 1
    assert answers(one.predict(clusters(3, 2, 2))) == [1, 1, 1]


@pytest.mark.parametrize(("queries", "bank"), [(1, 30), (3, 7), (7, 4), (2, 1)])
def test_chunks_do_not_matter(queries: int, bank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    known, asked = clusters(30, 0).features, clusters(7, 1).features
    similarity, index = nearest_neighbours(known, asked, 5)
    monkeypatch.setattr(knn, "QUERIES", queries)
    monkeypatch.setattr(knn, "BANK", bank)
    parts = nearest_neighbours(known, asked, 5)
    torch.testing.assert_close(parts[0], similarity)
    assert torch.equal(parts[1], index)


def test_a_part_of_the_bank_is_normalised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, normalise = [], F.normalize

    def spy(x: Tensor, dim: int) -> Tensor:
        rows.append(len(x))
        return normalise(x, dim=dim)

    monkeypatch.setattr(F, "normalize", spy)
    monkeypatch.setattr(knn, "QUERIES", 3)
    monkeypatch.setattr(knn, "BANK", 20)
    nearest_neighbours(clusters(30, 0).features, clusters(7, 1).features, 5)
    assert rows == [20, 3, 3, 1, 10, 3, 3, 1]
    with pytest.raises(ValueError, match="at least one row"):
        nearest_neighbours(torch.zeros(0, 6), torch.zeros(3, 6), 1)


@pytest.mark.parametrize(("count", "k"), [(100, 5), (103, 6), (103, 1), (9, 9), (40, 3), (2003, 2)])
def test_the_largest_of_each_row_are_found_by_groups(count: int, k: int) -> None:
    x = torch.rand(50, count, generator=torch.Generator().manual_seed(0))
    value, index = largest(x, k)
    expected = x.sort(1, descending=True)
    assert torch.equal(value, expected.values[:, :k])
    assert torch.equal(index, expected.indices[:, :k])


def test_memory_holds_a_chunk_of_the_similarities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "QUERIES", 16)
    monkeypatch.setattr(knn, "BANK", 64)
    bank, queries = clusters(1000, 0).features, clusters(200, 1).features
    with Largest() as seen:
        nearest_neighbours(bank, queries, 5)
    assert seen.bytes <= 200 * 5 * 8  # the answer; all similarities are 800 kB
    labels = torch.rand(1000, 6, generator=torch.Generator().manual_seed(0)) > 0.5
    index = torch.randint(1000, (200, 50), generator=torch.Generator().manual_seed(0))
    with Largest() as seen:
        knn.vote(torch.rand(200, 50), index, labels, 50, 6)
    assert seen.bytes <= 200 * 50 * 8  # the labels of all neighbours are 480 kB


def test_the_smallest_of_the_best_k_is_chosen_on_validation() -> None:
    # One wrong label close by: k = 1 errs, 3 and 5 do not.
    angles = torch.tensor([0.0, 0.05, 0.06, 0.07, 0.08, 1.5, 1.45, 1.44, 1.43, 1.42])
    features = torch.stack([angles.cos(), angles.sin()], 1)
    train = Memory(features, torch.tensor([1, 0, 0, 0, 0, 0, 1, 1, 1, 1]))
    val = Memory(features[[0, 5]], torch.tensor([0, 1]))
    chosen = KNN(2, refit=False).fit(train, val, FitContext(0))
    assert [chosen["sweep"][k] for k in ("1", "3", "5")] == [0.0, 100.0, 100.0]
    assert (chosen["k"], chosen["val"], chosen["refitted"]) == (3, 100.0, False)


def test_with_refit_the_validation_samples_join_the_bank() -> None:
    train, val = clusters(30, 0), clusters(9, 1)
    val.ids = (val.ids + 1) % 3  # against the training images
    plain, refitted = KNN(3, refit=False), KNN(3, refit=True)
    before = plain.fit(train, val, FitContext(0))
    assert refitted.fit(train, val, FitContext(0)) == {**before, "refitted": True}
    plain.k = refitted.k = 1
    assert answers(refitted.predict(val)) == val.ids.tolist()
    assert answers(plain.predict(val)) != val.ids.tolist()


def test_without_validation_samples_the_usual_number_is_taken_and_said() -> None:
    for val in (None, clusters(0, 1)):
        for count, k in ((3, 3), (30, 5)):
            chosen = KNN(3, refit=True).fit(clusters(count, 0), val, FitContext(0))
            assert (chosen["k"], chosen["val"]) == (k, None)
            assert "no sample was left to choose on" in chosen["note"]


def test_with_several_classes_the_scores_are_the_shares_of_neighbours() -> None:
    train, test = clusters(60, 0), clusters(9, 1)
    hot = torch.stack([train.ids == 0, train.ids != 1, train.ids == 2], 1).long()
    several = Memory(train.features, hot)
    head = KNN(3, refit=False)
    chosen = head.fit(several, several, FitContext(0))
    assert chosen["val"] == chosen["sweep"][str(head.k)] == max(chosen["sweep"].values())
    oracle = NearestNeighbors(n_neighbors=head.k, metric="cosine").fit(train.features)
    index = oracle.kneighbors(test.features, return_distance=False)
    expected = hot[torch.from_numpy(index)].float().mean(1).numpy()
    found = np.stack(list(head.predict(test)))
    np.testing.assert_allclose(found, expected, atol=0.26 / head.k)  # similarity breaks ties
