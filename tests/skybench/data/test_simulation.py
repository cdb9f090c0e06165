from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skybench.core import registry
from skybench.data import simulation
from skybench.data.simulation import Canvas, Thing, outline, rng_of, texture


def _bytes(root: Path) -> dict[str, bytes]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    plugin = registry.load("datasets", "folder")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        plugin.write_demo(tmp_path / name, seed)
    first, again, other = (_bytes(tmp_path / name) for name in "abc")
    assert first == again
    assert first.keys() == other.keys()
    assert not [k for k in first if k.endswith(".jpg") and first[k] == other[k]]


def test_the_marker_names_dataset_seed_and_version(tmp_path: Path) -> None:
    assert not simulation.is_demo(tmp_path)
    simulation.write_marker(tmp_path / "aid", "aid", 3)
    text = (tmp_path / "aid" / simulation.MARKER).read_text()
    assert text == '{"dataset": "aid", "seed": 3, "version": 1}\n'
    assert simulation.is_demo(tmp_path, tmp_path / "aid")


@pytest.mark.parametrize("period", [4.0, 8.0, 16.0])
def test_a_texture_has_the_wavelength_and_the_direction_it_is_asked_for(period: float) -> None:
    field = texture(rng_of(0), (128, 128), period, angle=0.0, spread=0.1)
    power = np.abs(np.fft.fft2(field)) ** 2
    y, x = np.unravel_index(int(power.argmax()), power.shape)
    assert abs(abs(np.fft.fftfreq(128)[x]) * period - 1) < 0.35
    assert abs(np.fft.fftfreq(128)[y]) < 0.03  # angle 0: waves along x
    assert field.dtype == np.float32
    assert abs(float(field.mean())) < 1e-3
    assert float(field.std()) == pytest.approx(1, abs=1e-3)


def test_a_thing_covers_its_outline_and_keeps_the_label_under_its_shadow() -> None:
    canvas = Canvas(rng_of(0), (40, 60), "grass")
    canvas.put([Thing(outline("block", (30, 20), (20, 10), 0.0), "metal", 7)], height=3)
    assert (canvas.labels == 7).sum() == 21 * 11
    assert canvas.cover[20, 30] == simulation.MATERIAL_NAMES.index("metal")
    assert canvas.cover[27, 42] == simulation.MATERIAL_NAMES.index("shade")
    assert canvas.labels[27, 42] == 0


def test_more_things_than_a_byte_counts_are_all_painted() -> None:
    canvas = Canvas(rng_of(0), (100, 100), "grass")
    places = [(x + 0.0, y + 0.0) for y in range(2, 98, 5) for x in range(2, 98, 5)]
    canvas.put([Thing(outline("block", p, (1, 1), 0), "metal", 1) for p in places], height=0)
    assert len(places) > 255
    assert all(canvas.labels[int(y), int(x)] == 1 for x, y in places)


def test_sensors_see_the_signature_of_the_material() -> None:
    canvas = Canvas(rng_of(0), (64, 64), "water")
    nir, red = canvas.reflectance(("nir", "red"))
    assert nir.mean() == pytest.approx(0.02, rel=0.1)
    assert red.mean() == pytest.approx(0.04, rel=0.1)


def _statistics(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    flat = image.reshape(-1, 3).astype(float)
    quantiles = np.quantile(flat, (0.05, 0.25, 0.5, 0.75, 0.95), axis=0)
    return np.concatenate([flat.mean(0), flat.std(0), quantiles.ravel()])


def _structure(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Power by frequency band, and how unequal it is over directions in each."""
    grey = image.mean(2)
    grey = (grey - grey.mean()) / grey.std()
    power = np.abs(np.fft.fft2(grey)) ** 2
    fy, fx = np.fft.fftfreq(len(grey))[:, None], np.fft.fftfreq(len(grey))[None]
    length, turn = np.hypot(fy, fx), np.exp(2j * np.arctan2(fy, fx))
    features = []
    for low, high in zip(
        (0.016, 0.04, 0.08, 0.14, 0.22), (0.04, 0.08, 0.14, 0.22, 0.5), strict=True
    ):
        band = power * ((length >= low) & (length < high))
        features += [np.log(band.sum()), np.abs((band * turn).sum()) / band.sum()]
    return np.asarray(features)


def test_classes_show_in_their_structure_and_hardly_in_their_colours(tmp_path: Path) -> None:
    plugin = registry.load("datasets", "eurosat")
    plugin.write_demo(tmp_path)
    scores = []
    for features in (_statistics, _structure):
        tables = []
        for split in ("train", "test"):
            samples = plugin.open(tmp_path, split)
            pictures = [s.images["s2"][0].permute(1, 2, 0).numpy() for s in samples]
            tables.append((np.stack([features(p) for p in pictures]), samples.labels))
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        (x, y), (x_test, y_test) = tables
        scores.append(model.fit(x, y).score(x_test, y_test))
    statistics, structure = scores
    assert structure >= 0.8
    assert 1 / 7 < statistics <= structure - 0.2
