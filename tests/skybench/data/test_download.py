from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from skybench.core import DataError, registry
from skybench.data import archives, download
from skybench.data.download import ARCHIVES, Remote

CARD = registry.load("datasets", "aid").CARD


def _published(site: str, folder: Path, filename: str, **files: bytes) -> Remote:
    path = folder / "site" / filename
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Remote(f"{site}/{filename}", filename, f"sha256:{digest}")


@pytest.fixture
def aid(monkeypatch: pytest.MonkeyPatch, site: str, tmp_path: Path) -> ModuleType:
    """A dataset with one published archive."""
    plugin = ModuleType("aid")
    remote = _published(site, tmp_path, "aid.zip", AID__a=b"1", AID__b=b"2", list=b"3")
    plugin.__dict__.update(CARD=CARD, REMOTES=(remote,))
    monkeypatch.setattr(registry, "load", lambda kind, name: plugin)
    return plugin


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.usefixtures("aid")
def test_a_dataset_is_fetched_and_unpacked_once(asked: list[str], tmp_path: Path) -> None:
    root = tmp_path / "data" / "aid"
    told: list[tuple[str, int, int]] = []
    found = download.download_dataset("aid", root, lambda *what: told.append(what))
    assert told[0] == (f"AID, licence: {CARD.licence}", 0, 1)
    assert found == [root / "AID", root / "list"]
    assert (root / "AID" / "b").read_bytes() == b"2"
    assert _names(root) == [ARCHIVES, "AID", "list"]
    (root / ARCHIVES / "aid.zip").unlink()  # the user needs the room
    assert download.download_dataset("aid", root) == found
    assert asked == ["/aid.zip"]
    shutil.rmtree(root / "AID")
    assert download.download_dataset("aid", root) == found
    assert (root / "AID" / "b").read_bytes() == b"2"
    assert asked == ["/aid.zip"] * 2


def test_a_new_version_of_an_archive_is_told_from_the_old_one(
    aid: ModuleType, site: str, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    download.download_dataset("aid", root)
    aid.__dict__["REMOTES"] = (_published(site, tmp_path, "aid.zip", AID__a=b"new"),)
    with pytest.raises(DataError, match=r"aid\.zip is not the published file"):
        download.download_dataset("aid", root)  # the old one is set aside
    assert download.download_dataset("aid", root) == [root / "AID"]
    assert (root / "AID" / "a").read_bytes() == b"new"


@pytest.mark.usefixtures("aid")
def test_what_was_not_unpacked_to_its_end_is_unpacked_again(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    root = tmp_path / "data"
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_move_content", stop)
        with pytest.raises(KeyboardInterrupt):
            download.download_dataset("aid", root)
    assert _names(root) == [ARCHIVES]
    (root / f"{archives.STAGING}x" / "AID").mkdir(parents=True)  # a killed run cannot clear up
    (root / ARCHIVES / "aid.zip.unpacked").write_text('{"origin": ')  # nor write its mark
    assert download.download_dataset("aid", root) == [root / "AID", root / "list"]
    assert _names(root) == [ARCHIVES, "AID", "list"]
    assert asked == ["/aid.zip"]


def test_archives_share_a_folder_and_plain_files_stay_plain(
    aid: ModuleType, site: str, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    second = _published(site, tmp_path, "second.zip", AID__c=b"4")
    plain = Remote(f"{site}/second.zip", "splits/second.zip", unpack=False)
    aid.__dict__["REMOTES"] = (*aid.__dict__["REMOTES"], second, plain)
    found = download.download_dataset("aid", root)
    assert found == [root / "AID", root / "list", root / "splits" / "second.zip"]
    assert _names(root / "AID") == ["a", "b", "c"]
    assert found[-1].read_bytes() == (tmp_path / "site" / "second.zip").read_bytes()


def test_a_dataset_without_addresses_says_how_to_get_it(tmp_path: Path) -> None:
    card = registry.load("datasets", "potsdam").CARD
    with pytest.raises(DataError) as told:
        download.download_dataset("potsdam", tmp_path / "potsdam")
    for text in (card.title, card.obtain, card.licence, card.layout, str(tmp_path)):
        assert text in str(told.value)
    assert not (tmp_path / "potsdam").exists()


def test_importing_it_is_cheap() -> None:
    code = (
        "import sys, skybench.data.download;"
        " print(*{'torch', 'numpy', 'requests'} & {*sys.modules})"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == []
