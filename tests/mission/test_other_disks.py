"""A home whose folders lie on several file systems: what is archived goes to the other one, and comes back."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Literal

import pytest

from mcp_server.storage.files import atomic as durable
from tests.disks import part_disks, second_disk
from tests.faults import Killed
from tests.mission.conftest import Connect, Refused, grow, rollouts

pytestmark = pytest.mark.anyio
Elsewhere = Literal["sessions", "archived_sessions"]


@pytest.fixture(params=["sessions", "archived_sessions"])
def elsewhere(request: pytest.FixtureRequest) -> Elsewhere:
    return request.param


@pytest.fixture(params=["real", "seeming"])
def disks(request: pytest.FixtureRequest, home: Path, tmp_path: Path, elsewhere: Elsewhere) -> Generator[None]:
    """One of the two folders is on another file system, or seems to be."""
    if request.param == "seeming":
        request.getfixturevalue("seeming")
        yield
        return
    with second_disk(tmp_path) as disk:
        home.mkdir()
        (home / elsewhere).symlink_to(disk)
        yield


@pytest.fixture
def seeming(home: Path, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / elsewhere).mkdir(parents=True)
    part_disks(monkeypatch, home / elsewhere)


@pytest.mark.usefixtures("disks")
async def test_a_tree_is_archived_to_another_file_system_and_comes_back(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        tree = await grow(tools)
        before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in _files(home, "sessions")}
        receipt = await tools("thread_archive", thread_id=tree.root)
        assert (sorted(receipt["archived"]), receipt["failed"]) == (sorted(tree.all()), [])
        after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in _files(home, "archived_sessions")}
        assert after == before
        assert _files(home, "sessions") == []
        assert await tools.listed(archived=True) == [tree.root]
    (home / "threadstore.sqlite").unlink()
    async with connect() as tools:
        assert (await tools.listed(), await tools.listed(archived=True)) == ([], [tree.root])
        back = await tools("thread_unarchive", thread_id=tree.root, include_descendants="all")
        assert (sorted(back["unarchived"]), back["failed"]) == (sorted(tree.all()), [])
        assert {path.name: path.read_bytes() for path in _files(home, "sessions")} == {
            name: content for name, (content, _) in before.items()
        }
        assert _files(home, "archived_sessions") == []
        await tools.go_on(tree.root, "and on")


@pytest.mark.usefixtures("seeming")
@pytest.mark.parametrize("struck", ["the copy is written", "the copy has its name", "the old file goes"])
async def test_an_archive_that_was_killed_between_two_file_systems_is_finished_at_the_next_start(
    home: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch, struck: str
) -> None:
    async with connect() as tools:
        thread_id = await tools.written("hello")
    (path,) = rollouts(home)
    content = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(durable.Draft, "drop", _nothing)  # whoever is killed takes nothing away
        _strike(patch, path, struck)
        with pytest.raises(BaseExceptionGroup):
            async with connect() as tools:
                await tools("thread_archive", thread_id=thread_id)
    async with connect() as tools:
        assert (await tools.listed(), await tools.listed(archived=True)) == ([], [thread_id])
        assert (await tools("thread_read", thread_id=thread_id, include_turns=True))["total"] == 1
    assert [path.read_bytes() for path in rollouts(home)] == [content]


def _nothing(_: durable.Draft) -> None: ...


def _strike(patch: pytest.MonkeyPatch, source: Path, struck: str) -> None:
    def kill(*_: object, **__: object) -> None:
        raise Killed

    if struck == "the copy is written":
        patch.setattr(durable.Draft, "add", kill)
    elif struck == "the copy has its name":
        patch.setattr(durable.Draft, "put", kill)
    else:
        real = os.unlink

        def unlink(path: str | Path, **options: int) -> None:
            if Path(path).name == source.name and Path(path).parent.name != "archived_sessions":
                raise Killed
            real(path, **options)

        patch.setattr(os, "unlink", unlink)


@pytest.mark.usefixtures("seeming")
async def test_a_copy_that_the_other_disk_has_no_room_for_leaves_the_thread_as_it_was(
    home: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect() as tools:
        thread_id = await tools.written("hello")
        await tools("thread_unsubscribe", thread_id=thread_id)
        (path,) = rollouts(home)
        with monkeypatch.context() as patch:
            real = os.write

            def full(fd: int, data: bytes) -> int:
                if b"session_meta" in bytes(data):
                    raise OSError(28, os.strerror(28))
                return real(fd, data)

            patch.setattr(os, "write", full)
            with pytest.raises(Refused, match="No space left on device"):
                await tools("thread_archive", thread_id=thread_id)
        assert await tools.listed() == [thread_id]
        assert [path.name for path in home.rglob("*rollout-*")] == [path.name]
        await tools("thread_archive", thread_id=thread_id)
        assert await tools.listed(archived=True) == [thread_id]


def _files(home: Path, folder: str) -> list[Path]:
    return sorted((home / folder).resolve().rglob("rollout-*.jsonl"))
