from __future__ import annotations

import bz2
import gzip
import sys
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType

import pytest

from skybench.core import DataError, UsageError, registry
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import split_lists
from skybench.data.split_lists import (
    MissingFilesError,
    SplitList,
    download_list,
    fetch_lists,
    official_lists,
)

NAMES = ["beach_1.jpg", "river_2.jpg", "river_10.jpg"]
TEXT = b"Beach/beach_1.jpg Beach 0\nriver_2.jpg River 1\n\nRiver/river_10.jpg River 1\n"
LIST = SplitList("train.txt", 3, fingerprint_keys(NAMES))


PAIRS = b"S2A_28_87,S1A_28_87\nS2A_28_90,S1A_28_90\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        gzip.compress(TEXT, mtime=0),
        bz2.compress(TEXT),
        bz2.compress(TEXT[:30]) + bz2.compress(TEXT[30:]),
        TEXT.replace(b"\n", b"\r\n"),
        b"".join(line.split()[0] + b"\n" for line in TEXT.splitlines() if line),
    ],
)
def test_lists_are_read_plain_or_packed_and_give_bare_names(data: bytes) -> None:
    assert split_lists.parse_list(data) == NAMES


def test_of_a_table_with_commas_the_first_column_is_read() -> None:
    assert split_lists.parse_list(PAIRS) == ["S2A_28_87", "S2A_28_90"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, bytes])
def test_a_list_that_unpacks_to_too_much_is_refused(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_lists, "MAX_LIST_BYTES", 1000)
    (tmp_path / "bomb").write_bytes(pack(b"x\n" * 501))
    with pytest.raises(DataError, match=r"bomb cannot be read: it has more than 1,000 bytes"):
        split_lists.read_list(tmp_path / "bomb", LIST)
    assert len(split_lists.parse_list(pack(b"x\n" * 500))) == 500


def test_lists_are_found_beside_the_data_then_in_the_cache(tmp_path: Path) -> None:
    assert official_lists("aid_test", {"train20": LIST}, tmp_path) is None
    kept = split_lists.lists_folder("aid_test")
    kept.mkdir(parents=True)
    (kept / "train.txt.gz").write_bytes(gzip.compress(TEXT, mtime=0))
    assert official_lists("aid_test", {"train20": LIST}, tmp_path) == {"train20": NAMES}
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "train.txt").write_bytes(b"other.jpg X 0\n")
    with pytest.raises(DataError, match=r"splits/train.txt is not the published list.* 1 names"):
        official_lists("aid_test", {"train20": LIST}, tmp_path)


PACKAGE = """
raise RuntimeError("its code must not run")
"""


@pytest.mark.parametrize("folder", ["", "data/lists"])
def test_lists_are_read_from_an_installed_package(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"shipping_{len(folder)}"
    place = tmp_path / "site" / name / folder
    place.mkdir(parents=True)
    (tmp_path / "site" / name / "__init__.py").write_text(PACKAGE)
    (place / "train.txt.bz2").write_bytes(bz2.compress(TEXT))
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "cache"))
    shipped = replace(LIST, package=name)
    assert official_lists("ben", {"train": shipped}, tmp_path) is None
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert official_lists("ben", {"train": shipped}, tmp_path) == {"train": NAMES}
    assert official_lists("ben", {"train": LIST}, tmp_path) is None
    plugin = ModuleType("ben")
    plugin.__dict__["LISTS"] = {"train": shipped}
    monkeypatch.setattr(registry, "load", lambda kind, name: plugin)
    assert fetch_lists("ben") == [place / "train.txt.bz2"]
    (place / "train.txt.bz2").write_bytes(bz2.compress(b"other"))
    with pytest.raises(DataError, match="is not the published list"):
        official_lists("ben", {"train": shipped}, tmp_path)
    assert name not in sys.modules


def test_an_official_training_list_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "train.txt").write_bytes(TEXT)
    both = {"train20": LIST, "test20": replace(LIST, filename="valid.txt")}
    with pytest.raises(DataError, match=r"valid\.txt is missing and the others"):
        official_lists("no_such_cache", both, tmp_path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("train.txt.gz", gzip.compress(TEXT, mtime=0)[:-12]),
        ("train.txt.bz2", bz2.compress(TEXT)[:-12]),
        ("train.txt.bz2", b"BZh no bzip2"),
        ("train.txt", b"\xff\xfe"),
    ],
)
def test_a_damaged_list_is_named(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / name).write_bytes(data)
    with pytest.raises(DataError, match=rf"{name} cannot be read"):
        official_lists("no_such_cache", {"train20": LIST}, tmp_path)


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        packed = {"/packed": gzip.compress(TEXT, mtime=0), "/bz2": bz2.compress(TEXT)}
        body = {"/good": TEXT, "/cut": TEXT, **packed}.get(self.path, b"<html>")
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body) + (9 if self.path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(serve: Callable[..., str]) -> str:
    return serve(_Site)


@pytest.mark.parametrize(
    ("page", "name"),
    [("good", "train.txt"), ("packed", "train.txt.gz"), ("bz2", "train.txt.bz2")],
)
def test_a_list_is_downloaded_checked_and_named(
    site: str, tmp_path: Path, page: str, name: str
) -> None:
    path = download_list(replace(LIST, url=f"{site}/{page}"), tmp_path)
    assert path == tmp_path / name
    assert split_lists.read_list(path, LIST) == NAMES
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("none", r"could not be downloaded \(HTTP Error 404.*by hand"),
        ("other", "is not the published list"),
        ("cut", r"expected \d+ .*broke off"),
    ],
)
def test_a_bad_download_leaves_nothing_behind(
    site: str, tmp_path: Path, page: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        download_list(replace(LIST, url=f"{site}/{page}"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_offline_the_message_says_what_to_do_by_hand(tmp_path: Path) -> None:
    offline = replace(LIST, url="http://127.0.0.1:9/train.txt")
    with pytest.raises(DataError, match=r"Get train\.txt by hand and put it .* a rule of ours"):
        download_list(offline, tmp_path, timeout=2)
    with pytest.raises(DataError, match=r"no public copy.*pip install --no-deps shipping"):
        download_list(replace(LIST, package="shipping"), tmp_path)


@pytest.fixture
def aid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    plugin = ModuleType("aid")
    plugin.__dict__["LISTS"] = {"train20": LIST}
    monkeypatch.setattr(registry, "load", lambda kind, name: plugin)
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "cache"))
    return plugin


@pytest.mark.usefixtures("aid")
def test_given_lists_are_known_by_their_content(tmp_path: Path) -> None:
    given_folder = tmp_path / "given"
    given_folder.mkdir()
    (given_folder / "any name").write_bytes(TEXT)
    (given_folder / "README").write_bytes(b"\xff\xfe no list")
    (given_folder / "a.gz").write_bytes(gzip.compress(b"x\n" * split_lists.MAX_LIST_BYTES, 9))
    kept = [tmp_path / "cache" / "splits" / "aid" / "train.txt"]
    assert fetch_lists("aid", given_folder) == kept
    kept[0].unlink()
    assert fetch_lists("aid", given_folder / "any name") == kept
    assert kept[0].read_bytes() == TEXT


@pytest.mark.usefixtures("aid")
@pytest.mark.parametrize("name", ["README", "absent"])
def test_a_path_without_the_lists_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "README").write_bytes(b"nothing here\n")
    with pytest.raises(DataError, match=r"none of the published lists|there is no"):
        fetch_lists("aid", tmp_path / name)


def test_without_a_path_the_lists_are_downloaded(
    aid: ModuleType, site: str, tmp_path: Path
) -> None:
    aid.__dict__["LISTS"] = {"train20": replace(LIST, url=f"{site}/good")}
    assert fetch_lists("aid") == [tmp_path / "cache" / "splits" / "aid" / "train.txt"]


def test_a_dataset_without_lists_says_so() -> None:
    with pytest.raises(UsageError, match="eurosat has no split lists"):
        fetch_lists("eurosat")


@pytest.mark.parametrize("dataset", ["aid", "resisc45"])
def test_the_real_lists_have_the_known_fingerprints(
    shared: Path, dataset: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    lists: dict[str, SplitList] = registry.load("datasets", dataset).LISTS
    assert len(fetch_lists(dataset, shared / "realdata" / "official_splits" / dataset)) == 4
    names = official_lists(dataset, lists, tmp_path)
    assert names is not None
    assert {s: len(set(n)) for s, n in names.items()} == {s: e.count for s, e in lists.items()}
    for split in (s for s in names if s.startswith("train")):
        assert set(names[split]).isdisjoint(names[split.replace("train", "test")])


def test_bigearthnets_lists_are_read_packed(
    shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    source = shared / "realdata" / "official_splits" / "bigearthnet_v1"
    names = {
        n: split_lists.parse_list((source / f"{n}.csv.bz2").read_bytes())
        for n in ("train", "val", "test")
    }
    assert [len(found) for found in names.values()] == [269_695, 123_723, 125_866]
    assert len(set().union(*names.values())) == 519_284
    plugin = ModuleType("ben")
    val = SplitList("val.csv", 123_723, fingerprint_keys(names["val"]))
    plugin.__dict__["LISTS"] = {"val": val}
    monkeypatch.setattr(registry, "load", lambda kind, name: plugin)
    assert fetch_lists("ben", source / "val.csv.bz2") == [
        split_lists.lists_folder("ben") / "val.csv.bz2"
    ]


def test_lists_that_are_there_are_not_downloaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = registry.load("datasets", "aid").LISTS.values()
    asked = []

    def download(expected: split_lists.SplitList, into: Path) -> Path:
        asked.append(expected.filename)
        return into / expected.filename

    monkeypatch.setattr(split_lists, "download_list", download)
    monkeypatch.setattr(
        split_lists, "_verified", lambda e, into: into / "x" if "28" in e.filename else None
    )
    assert len(split_lists.fetch_lists("aid")) == 4
    assert asked == [e.filename for e in lists if "28" not in e.filename]


def test_a_converted_copy_is_no_incomplete_download() -> None:
    incomplete = str(MissingFilesError("AID", ["a.jpg", "b.jpg"], ["c.png"]))
    assert "2 files are missing (a.jpg, b.jpg). The download is incomplete" in incomplete
    converted = str(MissingFilesError("AID", ["a.jpg", "b.jpg"], ["A.png", "c.png"]))
    assert "1 of them are there by another ending or case, as A.png" in converted
    assert "download" not in converted
