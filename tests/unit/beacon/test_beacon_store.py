"""The period store: complete or absent whatever happens, and nothing of other programs is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provery.core.errors import InvalidInput, SinkUnavailable
from provery.systems.beacon import files as disk
from provery.systems.beacon.store import MANIFEST, PeriodStore

PUBLISHER = """
import sys
from pathlib import Path
from provery.systems.beacon.store import PeriodStore
root, made = Path(sys.argv[1]), Path(sys.argv[2])
store = PeriodStore(root)
print("ready", flush=True)
at = 0
while True:
    at += 1
    files = {}
    for name in ("native_proof.bin", "sync.ssz", "update.json"):
        (made / name).write_bytes(f"{name} {at} ".encode() * 5000)
        files[name] = made / name
    store.publish(7, files, {"at": at}, reason="again")
"""


def given(folder: Path, **files: bytes) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, body in files.items():
        path = folder / name
        path.write_bytes(body)
        made[name.replace("__", ".")] = path
    return made


def check_whole(store: PeriodStore, period: int) -> None:
    """The directory is what its manifest says."""
    manifest = store.manifest(period)
    assert manifest is not None
    listed = manifest["files"]
    assert isinstance(listed, dict)
    for name, described in listed.items():
        path = store.folder(period) / name
        assert isinstance(described, dict)
        assert (path.stat().st_size, disk.digest(path)) == (described["size"], described["sha256"])


def test_a_period_is_published_with_its_digests(tmp_path: Path) -> None:
    store = PeriodStore(tmp_path / "store")
    files = given(tmp_path / "in", native_proof__bin=b"proof", sync__ssz=b"sync")
    manifest = store.publish(7, files, {"period": 7}, reason="")
    assert store.manifest(7) == manifest
    assert [(e.name, e.size) for e in store.files(7)][1:] == [("native_proof.bin", 5), ("sync.ssz", 4)]
    assert store.periods() == [7]
    assert store.has_proof(7)
    assert not store.has_proof(8)
    check_whole(store, 7)
    assert (tmp_path / "in/native_proof__bin").exists(), "what is published is a copy"
    assert store.folder(7).stat().st_mode & 0o555 == 0o555, "others may read"


def test_publishing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    store = PeriodStore(tmp_path / "store")
    files = given(tmp_path / "in", native_proof__bin=b"proof")
    store.publish(7, files, {"period": 7}, reason="")
    before = store.folder(7).stat().st_ino
    store.publish(7, files, {"period": 7}, reason="")
    assert store.folder(7).stat().st_ino == before
    (store.folder(7) / "native_proof.bin").write_bytes(b"prooF")
    store.publish(7, files, {"period": 7}, reason="one byte off")
    check_whole(store, 7)
    (aside,) = (tmp_path / "store/.replaced").iterdir()
    assert (aside / "native_proof.bin").read_bytes() == b"prooF"
    assert (aside / "reason.txt").read_text() == "one byte off\n"


def test_other_programs_files_stay_and_old_proofs_go(tmp_path: Path) -> None:
    store = PeriodStore(tmp_path / "store")
    given(
        tmp_path / "store/7",
        **{"blocks.ssz": b"roots", "zk_proof_g16.bin": b"bad", "zk_proof.ssz": b"from bad"},
    )
    inode = (store.folder(7) / "blocks.ssz").stat().st_ino
    store.publish(7, given(tmp_path / "in", native_proof__bin=b"proof"), {}, reason="bad")
    names = [entry.name for entry in store.files(7)]
    assert names == ["blocks.ssz", MANIFEST, "native_proof.bin"]
    assert (store.folder(7) / "blocks.ssz").stat().st_ino == inode, "whoever writes it goes on writing it"
    store.publish(7, given(tmp_path / "in2", odd__bin=b"x"), {}, reason="again")
    store.publish(7, given(tmp_path / "in3", native_proof__bin=b"z"), {}, reason="again")
    assert [entry.name for entry in store.files(7)] == names, "what an earlier manifest lists is not foreign"


def test_a_directory_without_a_proof_is_filled_without_a_trace(tmp_path: Path) -> None:
    store = PeriodStore(tmp_path / "store")
    given(tmp_path / "store/7", **{"lcu.ssz": b"update"})
    store.publish(7, given(tmp_path / "in", native_proof__bin=b"proof"), {}, reason="")
    assert [entry.name for entry in store.files(7)] == ["lcu.ssz", MANIFEST, "native_proof.bin"]
    assert not (tmp_path / "store/.replaced").exists()


def test_something_else_in_a_periods_place_gives_way(tmp_path: Path) -> None:
    store = PeriodStore(tmp_path / "store")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/7").write_text("a file")
    for number in range(2):
        store.publish(
            7, given(tmp_path / f"in{number}", native_proof__bin=b"proof"), {"n": number}, reason="x"
        )
        check_whole(store, 7)


def test_only_periods_count(tmp_path: Path) -> None:
    for name in ("7", "07", "-1", "x", "7.old", ".provery", "99999999999999"):
        (tmp_path / name).mkdir()
    (tmp_path / "8").write_text("a file")
    (tmp_path / "9").symlink_to(tmp_path / "7")
    assert PeriodStore(tmp_path).periods() == [7]


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "[" * 100_000, "x" * 300_000])
def test_a_malformed_manifest_is_named(tmp_path: Path, text: str) -> None:
    given(tmp_path / "7", **{MANIFEST: text.encode()})
    with pytest.raises(InvalidInput, match=r"manifest\.json of period 7"):
        PeriodStore(tmp_path).manifest(7)


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(SinkUnavailable, match="the proof is kept and published later"):
        PeriodStore(tmp_path / "store").publish(7, given(tmp_path / "in", a=b"b"), {}, reason="")


def test_a_kill_leaves_a_period_complete_or_absent(tmp_path: Path) -> None:
    """A publisher that replaces one period all the time is killed again and again."""
    store = PeriodStore(tmp_path / "store")
    (tmp_path / "in").mkdir()
    last = 0
    for round_ in range(8):
        argv = [sys.executable, "-c", PUBLISHER, str(tmp_path / "store"), str(tmp_path / "in")]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()})
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.05 + round_ * 0.011)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if store.folder(7).exists():
            check_whole(store, 7)
            last += 1
    assert last
    store.publish(7, given(tmp_path / "end", native_proof__bin=b"end"), {"at": 0}, reason="")
    check_whole(store, 7)
    assert not list(store.inner.glob("new-*")), "what was left half made is cleared away"


def test_two_writers_take_turns(tmp_path: Path) -> None:
    store = PeriodStore(tmp_path / "store")
    (tmp_path / "in").mkdir()
    (tmp_path / "in2").mkdir()
    children = []
    for folder in ("in", "in2"):
        argv = [sys.executable, "-c", PUBLISHER, str(tmp_path / "store"), str(tmp_path / folder)]
        env = {**os.environ, "PYTHONPATH": os.getcwd()}
        children.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env))
    time.sleep(1.5)
    for child in children:
        assert child.poll() is None, child.stderr and child.stderr.read()
        child.kill()
        child.communicate()
    check_whole(store, 7)
    assert json.dumps(store.manifest(7))


class Killed(BaseException):
    """Stands for SIGKILL at a chosen moment: nobody catches it, and nothing after it runs."""


def dies(after: int) -> Callable[[Path, Path], None]:
    """An exchange by three renames, as on NFS, that is killed after so many of them."""

    def exchange(one: Path, other: Path) -> None:
        between = one.with_name(one.name + ".swap")
        for at, (source, place) in enumerate(((other, between), (one, other), (between, one))):
            if at == after:
                raise Killed
            source.rename(place)
        raise Killed

    return exchange


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_a_kill_while_a_proof_is_replaced_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """The bad proof is kept aside with its reason, and other programs' files stay, wherever the publisher died."""
    store = PeriodStore(tmp_path / "store")
    given(tmp_path / "store/7", **{"native_proof.bin": b"bad", "blocks.ssz": b"roots"})
    good = given(tmp_path / "in", native_proof__bin=b"good")
    with monkeypatch.context() as patched:
        patched.setattr("provery.systems.beacon.store.exchange", dies(renames))
        with pytest.raises(Killed):
            store.publish(7, good, {"period": 7}, reason="one byte off")
    store.publish(7, good, {"period": 7}, reason="one byte off")
    check_whole(store, 7)
    assert (store.folder(7) / "native_proof.bin").read_bytes() == b"good"
    assert (store.folder(7) / "blocks.ssz").read_bytes() == b"roots"
    (aside,) = (tmp_path / "store/.replaced").iterdir()
    assert (aside / "native_proof.bin").read_bytes() == b"bad"
    assert (aside / "reason.txt").read_text() == "one byte off\n"
    assert sorted(path.name for path in store.inner.iterdir()) == ["lock"]


def test_a_system_that_cannot_exchange_directories_renames_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without:
        """A C library of before renameat2."""

    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: Without())
    for name in "ab":
        given(tmp_path / name, which=name.encode())
    disk.exchange(tmp_path / "a", tmp_path / "b")
    assert ((tmp_path / "a/which").read_bytes(), (tmp_path / "b/which").read_bytes()) == (b"b", b"a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
