"""Bundles that a stranger made, or that a disk has damaged. None is imported, none leaves anything behind."""

from __future__ import annotations

import io
import json
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from mcp_server.errors import LimitReached, UnusableBundle
from mcp_server.models.params import ImportParams
from mcp_server.threads.hand_over import bundle as format_
from tests.stores.rollout_text import PATH_A, PATH_B, A, B, meta, text_of, user
from tests.threads.conftest import Home

Manifest = dict[str, Any]
ROLLOUT = text_of(meta(A), user("hello"))
OUTSIDE = "sessions/2026/11/22/../../../../../outside.jsonl"


def manifest(data: bytes = ROLLOUT, path: str = PATH_A, **fields: Any) -> Manifest:
    rollout = {"path": path, "size": len(data), "sha256": sha256(data).hexdigest()}
    thread = {"id": A, "cwd": "/w", "rollouts": [rollout]}
    return {
        "format": "threadstore-bundle",
        "version": 1,
        "root_id": A,
        "made_by": "somebody",
        "made_at": "2026-11-22T23:04:48Z",
        "threads": [thread],
        **fields,
    }


def packed(told: Manifest | bytes, entries: dict[str, bytes] | None = None, mode: int = 0, method: int = 8) -> bytes:
    """A zip with this manifest and these entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for path, data in (entries if entries is not None else {PATH_A: ROLLOUT}).items():
            info = zipfile.ZipInfo(path)
            info.external_attr, info.compress_type = mode << 16, method
            archive.writestr(info, data)
        archive.writestr("manifest.json", told if isinstance(told, bytes) else json.dumps(told))
    return out.getvalue()


def thread_with(**fields: Any) -> Manifest:
    told = manifest()
    told["threads"][0] |= fields
    return told


def elsewhere(path: str) -> bytes:
    return packed(manifest(path=path), {path: ROLLOUT})


def twice() -> bytes:
    out = io.BytesIO(packed(manifest()))
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(PATH_A, ROLLOUT)
    return out.getvalue()


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """The zip with bytes of its first such record changed."""
    at = data.index(signature) + offset
    return data[:at] + value + data[at + len(value) :]


def bomb() -> bytes:
    """32 MB of zeros, packed into 32 kB."""
    data = ROLLOUT + b"0" * (32 << 20)
    return packed(manifest(data), {PATH_A: data})


GOOD = packed(manifest())
CENTRAL, END = b"PK\x01\x02", b"PK\x05\x06"

ATTACKS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no zip": lambda: b"PK" + b"x" * 100,
    "a rollout": lambda: ROLLOUT,
    "a zip of something else": lambda: packed(b"{}", {}),
    "no manifest": lambda: _without_manifest(),
    "a manifest that is no JSON": lambda: packed(b"\xff{"),
    "a manifest that is nested too deep": lambda: packed(b"[" * 100_000),
    "a manifest that is a list": lambda: packed(b"[]"),
    "another format": lambda: packed(manifest(format="other")),
    "a later version": lambda: packed(manifest(version=2)),
    "no threads": lambda: packed(manifest(threads=[])),
    "a root that is not in it": lambda: packed(manifest(root_id=B)),
    "a thread twice": lambda: packed(manifest(threads=manifest()["threads"] * 2)),
    "an id that is none": lambda: packed(manifest(threads=[thread_with(id="../x")["threads"][0]], root_id="../x")),
    "an id in another spelling": lambda: packed(thread_with(id=A.upper()) | {"root_id": A.upper()}),
    "another thread's id": lambda: packed(
        manifest(path=PATH_B, root_id=B, threads=[thread_with(id=B)["threads"][0]]), {PATH_A: ROLLOUT}
    ),
    "an id that is not the rollout's own": lambda: _of_another_thread(),
    "a parent that is not the rollout's own": lambda: packed(thread_with(parent_id=B)),
    "a source that is not the rollout's own": lambda: packed(thread_with(forked_from_id=B)),
    "a thread without a rollout": lambda: packed(thread_with(rollouts=[]), {}),
    "a path out of the home": lambda: elsewhere(OUTSIDE),
    "a path that begins with dots": lambda: elsewhere(f"../{PATH_A}"),
    "an absolute path": lambda: elsewhere(f"/{PATH_A}"),
    "a path on a drive": lambda: elsewhere(f"C:/{PATH_A}"),
    "a path with backslashes": lambda: elsewhere(PATH_A.replace("/", "\\")),
    "a path with a null": lambda: elsewhere(f"{PATH_A}\0"),
    "a folder of another day": lambda: elsewhere(PATH_A.replace("/11/22/", "/11/23/")),
    "a file of Codex's own": lambda: elsewhere("config.toml"),
    "a file in no folder of threads": lambda: elsewhere(PATH_A.replace("sessions", "memories")),
    "a compressed rollout": lambda: elsewhere(f"{PATH_A}.zst"),
    "a hidden name": lambda: elsewhere(PATH_A.replace("rollout-", ".rollout-")),
    "a link": lambda: packed(manifest(), mode=stat.S_IFLNK | 0o777),
    "a device": lambda: packed(manifest(), mode=stat.S_IFCHR | 0o600),
    "a folder": lambda: packed(manifest(), {PATH_A: ROLLOUT, "sessions/": b""}),
    "an entry twice": twice,
    "an entry that the manifest does not name": lambda: packed(manifest(), {PATH_A: ROLLOUT, PATH_B: ROLLOUT}),
    "an entry that is missing": lambda: packed(manifest(), {}),
    "other bytes of the same size": lambda: packed(manifest(), {PATH_A: ROLLOUT.replace(b"hello", b"jello")}),
    "fewer bytes": lambda: packed(manifest(), {PATH_A: ROLLOUT[:-1]}),
    "no rollout": lambda: packed(manifest(b"text\n"), {PATH_A: b"text\n"}),
    "an empty rollout": lambda: packed(manifest(b""), {PATH_A: b""}),
    "a name that is blank": lambda: packed(thread_with(name="  ")),
    "a name without an end": lambda: packed(thread_with(name="x" * 5_001)),
    "a tag of two lines": lambda: packed(thread_with(tags=["a\nb"])),
    "another packing": lambda: packed(manifest(), method=zipfile.ZIP_BZIP2),
    "an encrypted entry": lambda: patched(GOOD, CENTRAL, 8, b"\x01\x00"),
    "an unknown packing": lambda: patched(GOOD, CENTRAL, 10, b"\x63\x00"),
    "a size that is a lie": lambda: patched(GOOD, CENTRAL, 24, struct.pack("<I", len(ROLLOUT) - 1)),
    "a name that differs in the two directories": lambda: patched(GOOD, b"PK\x03\x04", 30, b"S"),
    "damage within": lambda: patched(GOOD, b"PK\x03\x04", 120, b"\x00\x00\x00"),
    "its end cut off": lambda: GOOD[:-30],
}

LIMITS: dict[str, Callable[[], bytes]] = {
    "a bomb": bomb,
    "many entries": lambda: patched(GOOD, END, 10, struct.pack("<H", 65_000)),
    "a directory without an end": lambda: patched(GOOD, END, 12, struct.pack("<I", 1 << 31)),
    "a manifest without an end": lambda: packed(b" " * (17 << 20), method=0),
}


def _without_manifest() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(PATH_A, ROLLOUT)
    return out.getvalue()


def _of_another_thread() -> bytes:
    data = text_of(meta(B), user("hello"))
    return packed(manifest(data), {PATH_A: data})


def nothing_of(home: Home) -> bool:
    return list(home.rollouts.walk()) == [] and home.standing() == {} and home.rollouts.names() == {}


def test_the_bundle_that_the_attacks_are_made_of_is_good(home: Home) -> None:
    home.service().importer.run(io.BytesIO(GOOD), ImportParams())
    assert home.standing() == {A: False}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("dry_run", [False, True], ids=["", "dry run"])
def test_a_bad_bundle_is_refused_in_a_sentence_and_leaves_nothing(home: Home, attack: str, dry_run: bool) -> None:
    with pytest.raises(UnusableBundle) as refused:
        home.service().importer.run(io.BytesIO(ATTACKS[attack]()), ImportParams(dry_run=dry_run))
    assert len(str(refused.value)) <= 240
    assert str(refused.value).startswith("the bundle was not imported: ")
    assert nothing_of(home)
    if home.folder is not None:
        assert {file.name for file in home.folder.iterdir()} <= {"threadstore.sqlite", "threadstore.sqlite.lock"} | {
            f"threadstore.sqlite-{part}" for part in ("wal", "shm")
        }


@pytest.mark.parametrize("attack", LIMITS)
def test_a_bundle_beyond_the_bounds_is_refused_before_it_is_read(home: Home, attack: str) -> None:
    with pytest.raises(LimitReached) as refused:
        home.service().importer.run(io.BytesIO(LIMITS[attack]()), ImportParams())
    assert len(str(refused.value)) <= 240
    assert nothing_of(home)


def test_a_bundle_of_more_than_all_rollouts_may_have_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_, "MAX_BYTES", len(GOOD) + 10)
    data = ROLLOUT + b"\n" * 10_000
    with pytest.raises(LimitReached):
        home.service().importer.run(io.BytesIO(packed(manifest(data), {PATH_A: data})), ImportParams())
    assert nothing_of(home)


def test_whatever_byte_is_damaged_the_rollout_arrives_whole_or_the_bundle_is_refused(home: Home) -> None:
    chance = random.Random(7)
    service = home.service()
    for _ in range(150):
        data = bytearray(GOOD)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            service.importer.run(io.BytesIO(bytes(data)), ImportParams())
        except (UnusableBundle, LimitReached):
            continue
    for file in home.rollouts.walk():
        (text,) = home.rollouts.read(file, [(0, file.size)])
        assert text.replace((file.thread_id or "").encode(), A.encode()) == ROLLOUT
