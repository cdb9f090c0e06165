"""Reads boxes of a user's own GeoTIFFs from polygons in GeoJSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio import warp
from rasterio.crs import CRS
from scipy.spatial import ConvexHull, QhullError

from skybench.boxes.geometry import to_corners, to_rotated
from skybench.core import DataError

from . import annotated_folder, decode, folder, label_texts
from .annotated_folder import Annotated, AnnotatedFolder, BoxForm
from .boxes import Object, are_visible
from .grids import PROJECTION_ERRORS

Points = NDArray[np.float64]  # [N, 2]
LONGITUDE_LATITUDE = "OGC:CRS84"  # of GeoJSON without `crs`, RFC 7946
CLASS_NAMES = ("class", "class_name", "label", "category", "type", "name")
TO_EXPORT = (
    "GeoJSON without `crs` is in longitude and latitude, in this order; export it so, or with the "
    "`crs` of its coordinates"
)
UPRIGHT = 1.0  # pixels by which corners of an upright box may be off


class Shape(NamedTuple):
    """The outer ring of a polygon, in the coordinates of its file, and its class."""

    name: str
    ring: Points
    origin: str


def read_geojson(about: folder.FolderDescription, paths: Sequence[Path]) -> AnnotatedFolder:
    """Read polygons as boxes of the images that they lie in, by the files' coordinate systems.

    A file with the stem of an image is of this image, any other of all. Boxes are upright if all
    polygons are, within a pixel; else each is the rectangle of least area around its polygon.
    Raises DataError for an image without georeference and for a feature that is no polygon.
    """
    images = list(label_texts.all_images(about.root))
    shapes = {path: read_shapes(about, path) for path in paths}
    stems = {path.stem for path in paths}
    shared = not any(image.stem in stems for image in images)
    rings: list[tuple[Path, Shape, Points]] = []
    kept: dict[Path, Path] = {}
    for image in images:
        for path in paths:
            if shared or path.stem == image.stem:
                kept[image] = path
                rings += [(image, s, ring) for s, ring in _within(image, *shapes[path])]
    if not rings and any(own for _, own in shapes.values()):
        raise DataError(
            f"no polygon of {', '.join(map(str, paths[:2]))} lies in an image of "
            f"{about.root}. {TO_EXPORT}"
        )
    oriented = not all(_is_upright(ring) for _, _, ring in rings)
    objects: dict[Path, list[Object]] = {image: [] for image in kept}
    for image, shape, ring in rings:
        corners = _rectangle(ring) if oriented else _bounds(ring)
        objects[image].append(Object(shape.name, corners, False, origin=shape.origin))
    found = [
        Annotated(image, label_texts.group_of(about.root, image), tuple(own), kept[image])
        for image, own in objects.items()
    ]
    names = (shape.name for _, own in shapes.values() for shape in own)
    classes, told = annotated_folder.found_classes(about, names)
    notes = _notes([i for i in images if i not in kept], shapes, rings)
    if oriented:
        notes = (*notes, "boxes are the rectangles of least area around the polygons")
    form = BoxForm(classes, oriented, tuple(paths), (*notes, *told))
    return annotated_folder.collect(about, found, form)


def _notes(
    bare: Sequence[Path],
    shapes: Mapping[Path, tuple[CRS, list[Shape]]],
    rings: Sequence[tuple[Path, Shape, Points]],
) -> tuple[str, ...]:
    used = {shape.origin for _, shape, _ in rings}
    outside = [s.origin for _, own in shapes.values() for s in own if s.origin not in used]
    several = len(rings) - len(used)
    return (
        *annotated_folder.counted("polygon lies in no image", outside),
        *annotated_folder.counted("image has no GeoJSON file of its name", [str(i) for i in bare]),
        *((f"{several} objects lie in several images, and count in each",) if several else ()),
    )


def read_shapes(about: folder.FolderDescription, path: Path) -> tuple[CRS, list[Shape]]:
    """Read the coordinate system and the polygons of a file. Raises DataError."""
    try:
        content = json.loads(annotated_folder.read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON; export it again") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise DataError(f"{path} is no GeoJSON with features; export a FeatureCollection")
    found: list[Shape] = []
    for number, feature in enumerate(features, 1):
        origin = f"{path}, feature {number}"
        if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
            raise DataError(f"{origin} has no geometry; remove it")
        name = _class_of(about, origin, feature.get("properties"))
        rings = _rings(origin, feature["geometry"])
        several = len(rings) > 1
        found += [
            Shape(name, ring, f"{origin}, part {part}" if several else origin)
            for part, ring in enumerate(rings, 1)
        ]
    return _system(path, content.get("crs")), found


def _system(path: Path, given: Any) -> CRS:
    properties = given.get("properties") if isinstance(given, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    text = str(name if given is not None else LONGITUDE_LATITUDE)
    short = re.sub(r"^urn:ogc:def:crs:(\w+):[^:]*:", r"\1:", text)
    try:
        return CRS.from_user_input(short)
    except PROJECTION_ERRORS as error:
        raise DataError(
            f"{path} has the coordinate system {text[:60]!r}, which is not known; export it as "
            "longitude and latitude, without `crs`"
        ) from error


def _class_of(about: folder.FolderDescription, origin: str, properties: Any) -> str:
    if len(about.classes) == 1:
        return about.classes[0]
    given = (
        {str(k).lower(): v for k, v in properties.items()} if isinstance(properties, dict) else {}
    )
    names = [given[n] for n in CLASS_NAMES if isinstance(given.get(n), str) and given[n].strip()]
    if not names:
        raise DataError(
            f"{origin} has no class among its properties ({', '.join(CLASS_NAMES)}); add one, or, "
            'where all objects are of one class, write classes = ["building"] in skybench.toml'
        )
    return str(names[0]).strip()


def _rings(origin: str, geometry: Mapping[str, Any]) -> list[Points]:
    given, kind = geometry.get("coordinates"), geometry.get("type")
    parts = given if kind == "MultiPolygon" else [given] if kind == "Polygon" else None
    if not isinstance(parts, list) or not all(isinstance(p, list) and p for p in parts):
        raise DataError(f"{origin} is a {str(kind)[:30]}; expected a Polygon or MultiPolygon")
    return [_ring(origin, part[0]) for part in parts]


def _ring(origin: str, given: Any) -> Points:
    pairs = given if isinstance(given, list) else []
    usable = all(
        isinstance(p, list) and len(p) >= 2 and all(type(v) in (int, float) for v in p[:2])
        for p in pairs
    )
    ring = np.array([p[:2] for p in pairs], np.float64) if usable and pairs else np.zeros((0, 2))
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    if len(ring) < 3 or not (np.abs(ring) < 1e9).all():
        raise DataError(f"{origin} has a ring without three points [x, y]; remove it")
    return ring


def _within(image: Path, system: CRS, shapes: Sequence[Shape]) -> Iterator[tuple[Shape, Points]]:
    """Yield the shapes that reach into an image, with their rings in its pixels."""
    with decode.open_raster(image) as source:
        place, inverse = source.crs, ~source.transform
        shape = source.height, source.width
    if place is None:
        raise DataError(
            f"{image} has no coordinate system, so polygons of GeoJSON cannot be laid on it; "
            "give it its georeference, or write the boxes in pixels (COCO, YOLO or DOTA)"
        )
    for each in shapes:
        try:
            xs, ys = warp.transform(system, place, *each.ring.T.tolist())
        except PROJECTION_ERRORS as error:
            raise DataError(
                f"{each.origin} cannot be laid on {image.name}: its point {each.ring[0].tolist()} "
                f"is none of {place}. Is its coordinate system the right one? {TO_EXPORT}"
            ) from error
        points = np.column_stack([xs, ys])
        turn = np.array([(inverse.a, inverse.d), (inverse.b, inverse.e)])
        ring = points @ turn + (inverse.c, inverse.f)
        if np.isfinite(ring).all() and are_visible(_bounds(ring)[None], shape)[0]:
            yield each, ring


def _bounds(ring: Points) -> NDArray[np.float32]:
    return annotated_folder.upright(*ring.min(0), *ring.max(0))


def _is_upright(ring: Points) -> bool:
    """Whether every point is near a corner of the bounds."""
    corners = _bounds(ring).astype(float)
    apart = np.abs(ring[:, None] - corners).max(2).min(1)
    return bool((apart <= UPRIGHT).all())


def _rectangle(ring: Points) -> NDArray[np.float32]:
    """Return the corners of the rectangle of least area around a ring, [4, 2]."""
    try:
        hull = ring[ConvexHull(ring).vertices]
    except (QhullError, ValueError):  # all points on a line
        return _bounds(ring)
    middle = hull.mean(0)
    sides = np.roll(hull, -1, 0) - hull
    angles = np.arctan2(sides[:, 1], sides[:, 0])
    cos, sin = np.cos(angles), np.sin(angles)
    along = (hull - middle) @ np.stack([cos, sin])  # [points, sides]
    across = (hull - middle) @ np.stack([-sin, cos])
    w, h = np.ptp(along, 0), np.ptp(across, 0)
    best = int(np.argmin(w * h))
    u, v = _middle(along[:, best]), _middle(across[:, best])
    turn = np.array([(cos[best], sin[best]), (-sin[best], cos[best])])
    center = np.array([u, v]) @ turn + middle
    box = np.array([[center[0], center[1], w[best], h[best], angles[best]]])
    return np.asarray(to_corners(to_rotated(to_corners(box)))[0], np.float32)


def _middle(values: Points) -> float:
    return float((values.min() + values.max()) / 2)
