"""Results at an address: what is written here is there, what is there is read here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from skybench.core import DataError, UsageError, folders, remote_store
from skybench.core.remote_store import STORE, mirror_folder, send_record, synchronise, synchronised

pytestmark = pytest.mark.usefixtures("own_cache")
ADDRESS = "memory://bucket/runs"
RECORD = Path("task/set/model.knn.s2.01234567.json")
BESIDE = [RECORD.with_suffix(ending) for ending in (".npz", ".draws")]


@pytest.fixture
def mirrors(bucket: MemoryFileSystem, tmp_path: Path) -> Callable[[str], Path]:
    """The mirror of ADDRESS on a machine, by its name."""
    return lambda machine: mirror_folder(ADDRESS, tmp_path / machine)


def write(folder: Path, name: Path, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def texts(folder: Path) -> dict[str, str]:
    """The results in a mirror by name."""
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return {p.relative_to(folder).as_posix(): p.read_text() for p in found}


def there(bucket: MemoryFileSystem) -> dict[str, str]:
    return {
        path.removeprefix("/bucket/runs/"): bucket.cat_file(path).decode()
        for path in bucket.find("/bucket")
    }


def test_a_record_is_read_on_another_machine(
    mirrors: Callable[[str], Path], bucket: MemoryFileSystem
) -> None:
    one, other = mirrors("one"), mirrors("other")
    for name in (*BESIDE, RECORD.with_suffix("") / "seed0" / "log.jsonl", RECORD):
        write(one, name, name.name)
    for local in ("last.pt", ".x.tmp", "training.lock"):
        write(one, RECORD.with_suffix("") / local, "of this machine")
    send_record(one, RECORD)
    assert len(there(bucket)) == 4
    synchronise(other)
    assert texts(other) == there(bucket)


def test_what_belongs_to_a_record_is_there_before_it(
    mirrors: Callable[[str], Path], bucket: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, order = MemoryFileSystem.put_file, list[str]()

    def noted(self: MemoryFileSystem, local: str, place: str, **more: Any) -> None:
        order.append(Path(place).suffix)
        put(self, local, place, **more)

    monkeypatch.setattr(MemoryFileSystem, "put_file", noted)
    for name in (RECORD, *BESIDE):
        write(mirrors("one"), name, "")
    send_record(mirrors("one"), RECORD)
    assert order == [".draws", ".npz", ".json"]


def test_a_file_is_sent_and_fetched_once(
    mirrors: Callable[[str], Path], bucket: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = mirrors("one"), mirrors("other")
    write(one, RECORD, "first")
    send_record(one, RECORD)
    synchronise(other)
    monkeypatch.setattr(MemoryFileSystem, "get_file", pytest.fail)
    monkeypatch.setattr(MemoryFileSystem, "put_file", pytest.fail)
    for _ in range(2):
        synchronise(other)
        synchronise(one)
        send_record(one, RECORD)


def test_a_newer_record_replaces_the_older_one_everywhere(
    mirrors: Callable[[str], Path], bucket: MemoryFileSystem
) -> None:
    one, other = mirrors("one"), mirrors("other")
    for name in (RECORD, *BESIDE):
        write(one, name, "first")
    send_record(one, RECORD)
    synchronise(other)
    (other / BESIDE[1]).unlink()  # the new one is without replicates
    write(other, RECORD, "second, longer")
    send_record(other, RECORD)
    synchronise(one)
    expected = {RECORD.as_posix(): "second, longer", BESIDE[0].as_posix(): "first"}
    assert texts(one) == texts(other) == there(bucket) == expected


def test_what_is_lost_here_alone_is_fetched_again(
    mirrors: Callable[[str], Path], bucket: MemoryFileSystem
) -> None:
    """Scratch folders are cleaned by age: that removes nothing at the address."""
    one = mirrors("one")
    for name in (RECORD, *BESIDE):
        write(one, name, "first")
    send_record(one, RECORD)
    for name in (RECORD, Path(remote_store.STATE)):
        (one / name).unlink()
        synchronise(one)
        assert len(texts(one)) == len(there(bucket)) == 3


def test_what_could_not_be_sent_is_said_and_sent_later(
    mirrors: Callable[[str], Path],
    bucket: MemoryFileSystem,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = mirrors("one")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", lambda *_, **__: 1 / 0)
        write(one, RECORD, "first")
        send_record(one, RECORD)
        assert f"{RECORD} was not sent to {ADDRESS}" in capsys.readouterr().err
        with pytest.raises(DataError, match="cannot be synchronised"):
            synchronise(one)
    with synchronised(one):
        pass
    assert there(bucket) == {RECORD.as_posix(): "first"}


def test_names_at_an_address_lead_nowhere_else(
    mirrors: Callable[[str], Path], bucket: MemoryFileSystem, tmp_path: Path
) -> None:
    for away in ("../../x/y/z.json", "a/../../../z.json", "z.json", "a/.hidden/z.json"):
        bucket.store[f"/bucket/runs/{away}"] = _file(bucket, away)
    one = mirrors("one")
    synchronise(one)
    assert texts(one) == {}


def _file(bucket: MemoryFileSystem, name: str) -> Any:
    bucket.pipe_file("/elsewhere", name.encode())
    return bucket.store["/elsewhere"]


def test_files_of_other_protocols_appear_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And many processes may write at once: each ends with all records."""
    fs, place = LocalFileSystem(), tmp_path / "there"
    monkeypatch.setattr(remote_store, "_opened", lambda _: (fs, str(place)))
    renamed = []
    move = LocalFileSystem.mv

    def noted(self: LocalFileSystem, old: str, new: str, **more: Any) -> None:
        renamed.append((Path(old).name.startswith("."), Path(new).name))
        move(self, old, new, **more)

    monkeypatch.setattr(LocalFileSystem, "mv", noted)
    children = []
    for number in range(4):
        if (child := os.fork()) == 0:
            code = 1
            try:
                one = mirror_folder(ADDRESS, tmp_path / f"machine{number % 2}")
                for cell in range(5):
                    name = Path(f"task/set/{number}-{cell}.json")
                    write(one, name, name.name * 100)
                    send_record(one, name)
                synchronise(one)
                code = int(not all(hidden for hidden, _ in renamed))
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0] * 4
    last = mirror_folder(ADDRESS, tmp_path / "last")
    synchronise(last)
    assert len(texts(last)) == 20
    assert all(text == Path(name).name * 100 for name, text in texts(last).items())
    assert [p for p in place.rglob(".*") if p.is_file()] == []


def test_a_folder_is_no_mirror(tmp_path: Path) -> None:
    write(tmp_path, RECORD, "first")
    send_record(tmp_path, RECORD)
    synchronise(tmp_path)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [RECORD.name]
    assert folders.results_at(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert folders.results_at(str(tmp_path)) == tmp_path


def test_addresses_are_for_results_alone(
    monkeypatch: pytest.MonkeyPatch, bucket: MemoryFileSystem
) -> None:
    monkeypatch.setenv("SKYBENCH_RESULTS", ADDRESS)
    assert (folders.results() / STORE).read_text() == ADDRESS
    assert folders.results() == folders.results_at(ADDRESS + "/")
    monkeypatch.setenv("SKYBENCH_DATA", ADDRESS)
    with pytest.raises(UsageError, match="expected a folder of this machine"):
        folders.data()
    with pytest.raises(UsageError, match="cannot be opened"):
        folders.results_at("nothing://bucket/runs")


def test_an_address_that_was_emptied_takes_no_record_away(
    mirrors: Callable[[str], Path], bucket: MemoryFileSystem
) -> None:
    one = mirrors("one")
    for name in (RECORD, *BESIDE):
        write(one, name, name.name)
    send_record(one, RECORD)
    kept = texts(one)
    bucket.rm("/bucket", recursive=True)
    synchronise(one)
    assert texts(one) == there(bucket) == kept
