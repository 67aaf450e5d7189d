"""Copies of a thread's file, as sync tools and people make them: beside its own file none is taken for the thread."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mission.conftest import Connect, Refused, rollouts

pytestmark = pytest.mark.anyio


def _named(stem_to: str) -> Callable[[Path, Path], None]:
    def make(_: Path, own: Path) -> None:
        shutil.copy2(own, own.with_name(f"{own.stem}{stem_to}.jsonl"))

    return make


def _in_another_folder(home: Path, own: Path) -> None:
    (home / "sessions" / "backup").mkdir()
    shutil.copy2(own, home / "sessions" / "backup" / own.name)


def _in_the_archive(home: Path, own: Path) -> None:
    (home / "archived_sessions").mkdir()
    shutil.copy2(own, home / "archived_sessions" / own.name)


def _later(own: Path) -> Path:
    """The same name with a later time of the same day."""
    return own.with_name(f"{own.name[:19]}23-59-59{own.name[27:]}")


COPIES: dict[str, Callable[[Path, Path], None]] = {
    "Syncthing's": _named(".sync-conflict-20261004-101010-ABCDEF7"),
    "Dropbox's": _named(" (desktop's conflicted copy 2026-10-04)"),
    "iCloud's": _named(" 2"),
    "a browser's": _named(" (1)"),
    "one in another folder": _in_another_folder,
    "one in the archive": _in_the_archive,
    "a hard link": lambda _, own: os.link(own, _later(own)),
    "a link": lambda _, own: _later(own).symlink_to(own.name),
}
copies = pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)


def others(home: Path, own: Path) -> dict[Path, bytes]:
    """All that is called after the thread and is not its own file, under whatever name."""
    found = [path for path in home.rglob("*rollout-*") if not path.samefile(own)]
    return {path: path.read_bytes() for path in found}


async def copied(home: Path, connect: Connect, copy: Callable[[Path, Path], None]) -> tuple[str, Path]:
    async with connect() as tools:
        thread_id = await tools.written("hello")
    (own,) = rollouts(home)
    copy(home, own)
    return thread_id, own


@copies
async def test_new_turns_go_into_the_threads_own_file_and_copies_stay_as_they_are(
    home: Path, connect: Connect, copy: Callable[[Path, Path], None]
) -> None:
    thread_id, own = await copied(home, connect, copy)
    before = others(home, own)
    (home / "threadstore.sqlite").unlink()
    async with connect() as tools:
        await tools.go_on(thread_id, "NEW TURN")
    assert b"NEW TURN" in own.read_bytes()
    assert others(home, own) == before


@copies
@pytest.mark.parametrize("rebuilt", [False, True])
async def test_no_copy_brings_an_archived_thread_back(
    home: Path, connect: Connect, copy: Callable[[Path, Path], None], rebuilt: bool
) -> None:
    thread_id, own = await copied(home, connect, copy)
    async with connect() as tools:
        receipt = await tools("thread_archive", thread_id=thread_id)
        assert (receipt["archived"], receipt["failed"]) == ([thread_id], [])
    assert (own.exists(), (home / "archived_sessions" / own.name).is_file()) == (False, True)
    if rebuilt:
        (home / "threadstore.sqlite").unlink()
    async with connect() as tools:
        assert (await tools.listed(), await tools.listed(archived=True)) == ([], [thread_id])
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["archived"]
        await tools("thread_unarchive", thread_id=thread_id)
        assert (await tools.listed(), own.is_file()) == ([thread_id], True)


async def test_archiving_a_thread_behind_a_link_moves_the_file_that_the_link_points_to(
    home: Path, connect: Connect
) -> None:
    def linked(home: Path, own: Path) -> None:
        kept = home / "sessions" / "kept elsewhere"
        own.rename(kept)
        own.symlink_to(kept)

    thread_id, own = await copied(home, connect, linked)
    async with connect() as tools:
        await tools("thread_archive", thread_id=thread_id)
        archived = home / "archived_sessions" / own.name
        assert (own.is_symlink(), archived.is_symlink(), archived.is_file()) == (False, False, True)
        assert (await tools("thread_read", thread_id=thread_id, include_turns=True))["total"] == 1
        assert not (home / "sessions" / "kept elsewhere").exists()


async def test_deleting_a_thread_behind_a_link_removes_the_file_that_the_link_points_to(
    home: Path, connect: Connect
) -> None:
    def linked(home: Path, own: Path) -> None:
        kept = home / "sessions" / "kept elsewhere"
        own.rename(kept)
        own.symlink_to(kept)

    thread_id, own = await copied(home, connect, linked)
    async with connect() as tools:
        await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
    assert (own.is_symlink(), (home / "sessions" / "kept elsewhere").exists()) == (False, False)


@pytest.mark.parametrize("copy", ["Syncthing's", "iCloud's", "one in another folder"])
async def test_a_copy_is_counted_by_lists_and_named_by_status_and_receipts(
    home: Path, connect: Connect, copy: str
) -> None:
    thread_id, own = await copied(home, connect, COPIES[copy])
    async with connect() as tools:
        assert (await tools("thread_list"))["hidden"]["duplicates"] == 1
        status = await tools("store_status")
        assert status["counts"]["duplicate"] == 1
        (other,) = (path.relative_to(home).as_posix() for path in others(home, own))
        assert status["duplicates"] == [f"{thread_id}: {own.relative_to(home).as_posix()}, {other}"]
        for dry_run in (True, False):
            assert (await tools("thread_archive", thread_id=thread_id, dry_run=dry_run))["copies"] == [other]
        assert (await tools("thread_list"))["hidden"]["duplicates"] == 1
        receipt = await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
        assert (receipt["deleted"], receipt["copies"]) == ([thread_id], [other])
        assert (home / other).is_file()
        assert (await tools("thread_list"))["hidden"]["duplicates"] == 0


async def test_a_copy_that_is_read_while_the_threads_own_file_can_not_be_is_not_written_to(
    home: Path, connect: Connect
) -> None:
    thread_id, own = await copied(home, connect, COPIES["iCloud's"])
    (copy,) = others(home, own)
    content, before = own.read_bytes(), copy.read_bytes()
    own.write_bytes(b"")  # as a sync tool leaves a file whose content it has not fetched yet
    async with connect() as tools:
        assert (await tools("thread_read", thread_id=thread_id, include_turns=True))["total"] == 1
        refusals = {"thread_resume": {}, "thread_update": {"git_info": {"branch": "b"}}}
        for verb, arguments in refusals.items():
            with pytest.raises(Refused, match=r"is shown from a copy, `[^`]*`, and copies are read-only") as refused:
                await tools(verb, thread_id=thread_id, **arguments)
            assert refused.value.code == "damaged_rollout"
        await tools("thread_fork", thread_id=thread_id)
        assert (own.read_bytes(), copy.read_bytes()) == (b"", before)
    own.write_bytes(content)
    async with connect() as tools:
        await tools.go_on(thread_id, "NEW TURN")
    assert b"NEW TURN" in own.read_bytes()
    assert copy.read_bytes() == before


async def test_an_archive_takes_what_reverts_have_replaced_and_leaves_copies(home: Path, connect: Connect) -> None:
    thread_id, first = await copied(home, connect, lambda home, own: None)
    reverted = first.with_name(f"{first.stem}_01a22222-0000-7000-8000-000000000001.jsonl")
    shutil.copy2(first, reverted)
    for named, own in ((" 2", first), (" (1)", reverted)):
        _named(named)(home, own)
    async with connect() as tools:
        receipt = await tools("thread_archive", thread_id=thread_id)
        assert (receipt["failed"], len(receipt["copies"])) == ([], 2)
        assert {path.name for path in (home / "archived_sessions").iterdir()} == {first.name, reverted.name}
        assert await tools.listed(archived=True) == [thread_id]
        back = await tools("thread_unarchive", thread_id=thread_id)
        assert (back["failed"], first.is_file(), reverted.is_file()) == ([], True, True)


async def test_another_file_of_the_same_name_in_the_archive_is_not_overwritten(home: Path, connect: Connect) -> None:
    thread_id, own = await copied(home, connect, _in_the_archive)
    other = home / "archived_sessions" / own.name
    other.write_bytes(other.read_bytes()[:-1] + b" \n")
    before = other.read_bytes(), own.read_bytes()
    async with connect() as tools:
        with pytest.raises(Refused, match=f"archived_sessions/{own.name}.? exists already") as refused:
            await tools("thread_archive", thread_id=thread_id)
        assert refused.value.code == "rollout_name_taken"
        assert await tools.listed() == [thread_id]
    assert (other.read_bytes(), own.read_bytes()) == before
