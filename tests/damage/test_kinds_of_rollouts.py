"""Compressed rollouts, forks that borrow their source's bytes, and lines of newer kinds: every verb on each of them.

A fork by `history_base` holds but its own segment; whoever reads it follows the bases. So does a thread that Codex has
reverted: each revert begins a segment file, which borrows what is left of the one before (thread/revert, Codex 0.169).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mission.conftest import Connect, Json, Refused, Tools, lock_files, rollouts
from tests.mission.conftest import connect as connect
from tests.mission.conftest import era as era
from tests.mission.conftest import home as home
from tests.stores.rollout_text import event, item, line, meta, text_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

SOURCE, FORK, SECOND = (f"01a20564-0000-7000-8000-00000000000{n}" for n in (1, 2, 3))
REVERT, LAST_REVERT = (f"01a20564-1000-7000-8000-00000000000{n}" for n in (4, 5))


def put(home: Path, thread_id: str, data: bytes, *, revert: str = "") -> Path:
    name = f"rollout-2026-11-22T10-00-0{thread_id[-1]}-{thread_id}{revert and f'_{revert}'}.jsonl"
    path = home / "sessions/2026/11/22" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def compress(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.zst")
    packed.write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    return packed


def said(thread_id: str, turn: str, text: str, first: int) -> list[Any]:
    """A turn of a paginated thread."""
    user = {"type": "UserMessage", "id": f"u-{turn}", "content": [{"type": "text", "text": text}]}
    agent = {"type": "AgentMessage", "id": f"a-{turn}", "content": [{"type": "Text", "text": f"re: {text}"}]}
    lines = [
        event("task_started", turn_id=turn, started_at=1),
        *(event("item_completed", thread_id=thread_id, turn_id=turn, item=done) for done in (user, agent)),
        event("task_complete", turn_id=turn, completed_at=2),
    ]
    return [{**made, "ordinal": first + number} for number, made in enumerate(lines)]


def lineage(home: Path, *, packed: bool = False) -> None:
    """SOURCE of two turns; FORK borrows the first of them; SECOND borrows what FORK has."""

    def start(thread_id: str, base: Json | None, ordinal: int) -> dict[str, Any]:
        fields = {"history_base": base, "forked_from_id": base["thread_id"]} if base else {}
        return {**meta(thread_id, history_mode="paginated", **fields), "ordinal": ordinal}

    def borrowed(thread_id: str, data: bytes, ordinal: int) -> Json:
        return {"thread_id": thread_id, "end_ordinal_exclusive": ordinal, "end_byte_offset": len(data)}

    first = text_of(start(SOURCE, None, 0), *said(SOURCE, "one", "asked of the source", 1))
    source = first + text_of(*said(SOURCE, "two", "after the fork", 5))
    fork = text_of(start(FORK, borrowed(SOURCE, first, 5), 5), *said(FORK, "three", "asked of the fork", 6))
    second = text_of(start(SECOND, borrowed(FORK, fork, 10), 10), *said(SECOND, "four", "asked of the second", 11))
    paths = [put(home, thread_id, data) for thread_id, data in ((SOURCE, source), (FORK, fork), (SECOND, second))]
    for path in paths if packed else ():
        compress(path)


def reverted(home: Path) -> None:
    """SOURCE, of which all but the first turn was taken back, twice; FORK borrows from it as it was in between."""

    def start(thread_id: str, base: tuple[str, bytes, int] | None, **fields: str) -> dict[str, Any]:
        ordinal = 0
        if base is not None:
            rollout_id, data, ordinal = base
            borrowed = {"thread_id": rollout_id, "end_ordinal_exclusive": ordinal, "end_byte_offset": len(data)}
            fields |= {"history_base": borrowed}  # pyright: ignore[reportAssignmentType]
        return {**meta(thread_id, history_mode="paginated", **fields), "ordinal": ordinal}

    first = text_of(start(SOURCE, None), *said(SOURCE, "one", "asked once", 1))
    put(home, SOURCE, first + text_of(*said(SOURCE, "two", "taken back", 5)))
    again = text_of(start(SOURCE, (SOURCE, first, 5)))
    second = again + text_of(*said(SOURCE, "three", "taken back as well", 6))
    put(home, SOURCE, second, revert=REVERT)
    put(
        home,
        SOURCE,
        text_of(start(SOURCE, (REVERT, again, 6)), *said(SOURCE, "four", "asked at last", 7)),
        revert=LAST_REVERT,
    )
    fork = start(FORK, (REVERT, second, 10), forked_from_id=SOURCE)
    put(home, FORK, text_of(fork, *said(FORK, "five", "asked of the fork", 11)))


async def questions(tools: Tools, thread_id: str) -> list[str]:
    read = await tools("thread_read", thread_id=thread_id, include_turns=True, sort_direction="asc")
    return [turn["items"][0]["content"][0]["text"] for turn in read["turns"]]


async def found(tools: Tools, text: str) -> set[str]:
    return {hit["thread"]["id"] for hit in (await tools("thread_search", search_term=text))["data"]}


@pytest.mark.parametrize("packed", [False, True])
async def test_a_fork_of_a_fork_by_history_base_is_listed_read_searched_and_archived(
    home: Path, connect: Connect, packed: bool
) -> None:
    lineage(home, packed=packed)
    async with connect() as tools:
        assert set(await tools.listed()) == {SOURCE, FORK, SECOND}
        assert await questions(tools, FORK) == ["asked of the source", "asked of the fork"]
        assert await questions(tools, SECOND) == ["asked of the source", "asked of the fork", "asked of the second"]
        assert (await tools("thread_items", thread_id=SECOND))["total"] == 6
        assert SECOND in await found(tools, "asked of the second")
        assert {FORK, SECOND} <= await found(tools, "asked of the fork")
        assert await found(tools, '"after the fork"') == {SOURCE}
        with pytest.raises(Refused, match="forked history still references it"):
            await tools("thread_delete", thread_id=SOURCE, confirm_thread_id=SOURCE)
        # The bases are found where they were moved to.
        await tools("thread_archive", thread_id=SOURCE)
        await tools("thread_archive", thread_id=FORK)
        assert await questions(tools, SECOND) == ["asked of the source", "asked of the fork", "asked of the second"]
        assert set(await tools.listed(archived=True)) == {SOURCE, FORK}
        await tools("thread_unarchive", thread_id=FORK)
        assert await questions(tools, FORK) == ["asked of the source", "asked of the fork"]
        copied = await tools("thread_fork", thread_id=SECOND)
        assert await questions(tools, copied["thread"]["id"]) == [
            "asked of the source",
            "asked of the fork",
            "asked of the second",
        ]


@pytest.mark.parametrize("with_db", [True, False])
async def test_a_reverted_thread_is_one_thread_and_reads_on_in_what_it_replaced(
    home: Path, connect: Connect, with_db: bool
) -> None:
    reverted(home)
    in_fork = ["asked once", "taken back as well", "asked of the fork"]
    async with connect(state=with_db) as tools:
        assert set(await tools.listed()) == {SOURCE, FORK}
        assert await questions(tools, SOURCE) == ["asked once", "asked at last"]
        assert await questions(tools, FORK) == in_fork
        assert (await tools("thread_items", thread_id=SOURCE))["total"] == 4
        assert await found(tools, "taken back as well") == {FORK}
        assert await found(tools, "asked once") == {SOURCE, FORK}
        counts = (await tools("store_status"))["counts"]
        assert (counts["duplicate"], counts["replaced"], counts["missing"], counts["stale"]) == (0, 2, 0, 0)

        # It goes on in its last segment, and moves with all of them.
        await tools("thread_resume", thread_id=SOURCE)
        await tools("turn_start", thread_id=SOURCE, input="and on")
        assert await questions(tools, SOURCE) == ["asked once", "asked at last", "and on"]
        archived = await tools("thread_archive", thread_id=SOURCE, interrupt_running=True)
        assert (archived["archived"], archived["failed"]) == ([SOURCE], [])
        assert [path.name for path in (home / "sessions").rglob("*.jsonl")] == [
            f"rollout-2026-11-22T10-00-02-{FORK}.jsonl"
        ]
        assert await questions(tools, FORK) == in_fork
        assert await questions(tools, SOURCE) == ["asked once", "asked at last", "and on"]
        await tools("thread_unarchive", thread_id=SOURCE)
        assert not list((home / "archived_sessions").iterdir())

        with pytest.raises(Refused, match="forked history still references it"):
            await tools("thread_delete", thread_id=SOURCE, confirm_thread_id=SOURCE)
        for thread_id in (FORK, SOURCE):
            await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
        assert rollouts(home) == []


async def test_a_revert_by_another_program_is_announced_and_read_at_once(home: Path, connect: Connect) -> None:
    reverted(home)
    last = next(home.rglob(f"*_{LAST_REVERT}.jsonl"))
    data = last.read_bytes()
    last.unlink()
    async with connect(watch=True) as tools:
        assert await questions(tools, SOURCE) == ["asked once", "taken back as well"]
        last.write_bytes(data)
        assert "thread/reverted" in await tools.events(SOURCE, wait_seconds=10)
        assert await questions(tools, SOURCE) == ["asked once", "asked at last"]
        assert await found(tools, "taken back as well") == {FORK}


async def test_a_compressed_rollout_is_listed_read_searched_forked_and_archived(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written("packed away", name="the packed one")
    (plain,) = rollouts(home)
    packed = compress(plain)
    data = packed.read_bytes()
    async with connect() as tools:
        assert await tools.listed() == [thread_id]
        read = await tools("thread_read", thread_id="the packed one", include_turns=True)
        assert (read["thread"]["path"], read["total"]) == (str(plain), 1)
        assert (await tools("thread_items", thread_id=thread_id))["total"] == 2
        assert await found(tools, "packed away") == {thread_id}
        forked = (await tools("thread_fork", thread_id=thread_id))["thread"]["id"]
        await tools("turn_start", thread_id=forked, input="unpacked")
        assert await questions(tools, forked) == ["packed away", "unpacked"]
        await tools("thread_update", thread_id=thread_id, name="still packed")
        await tools("thread_archive", thread_id=thread_id)
        assert (home / "archived_sessions" / packed.name).read_bytes() == data
        assert await tools.listed(archived=True) == [thread_id]
        await tools("thread_unarchive", thread_id="still packed")
        assert packed.read_bytes() == data
        assert (await tools("store_status"))["counts"]["malformed"] == 0
        await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
        assert not packed.exists()


async def test_a_compressed_rollout_is_restored_by_whoever_goes_on_in_it(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        resumed, changed = await tools.written("packed away"), await tools.written("this one too")
    data: dict[str, bytes] = {}
    for plain in rollouts(home):
        os.utime(plain, ns=(10**18, 10**18))
        data[plain.name] = plain.read_bytes()
        os.utime(compress(plain), ns=(10**18, 10**18))
    async with connect() as tools:
        await tools("thread_resume", thread_id=resumed)
        (plain,) = rollouts(home)
        assert (plain.read_bytes(), plain.stat().st_mtime_ns) == (data[plain.name], 10**18)
        assert [path.name for path in home.rglob("*.zst")] == [f"{name}.zst" for name in data if changed in name]
        await tools("turn_start", thread_id=resumed, input="unpacked")
        assert await questions(tools, resumed) == ["packed away", "unpacked"]
        await tools("thread_update", thread_id=changed, git_info={"branch": "x"})
        assert list(home.rglob("*.zst")) == []
        assert await tools.listed() == [resumed, changed]  # git info is no work in it
        assert await found(tools, "packed away") == {resumed}


async def test_a_compressed_rollout_that_is_cut_off_is_left_as_it_is(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written("packed away")
    (plain,) = rollouts(home)
    packed = compress(plain)
    packed.write_bytes(packed.read_bytes()[:-4])
    async with connect() as tools:
        with pytest.raises(Refused):
            await tools("thread_resume", thread_id=thread_id)
        assert [path.name for path in home.rglob("rollout-*")] == [packed.name]
        assert lock_files(home) == []


async def test_lines_of_kinds_that_nobody_knows_pass_through(home: Path, connect: Connect) -> None:
    """The last is how versions in development refer to a segment that was rotated away."""
    unknown = [
        line("newest_kind", {"deep": [{"er": 1}]}),
        line("response_item", {"type": "newest_item", "x": 1}),
        event("newest_event", turn_id="t"),
        item([{"type": "newest_part", "y": 2}]),
        line("rollout_reference", {"rollout_path": "/elsewhere/segment.jsonl", "thread_id": SOURCE, "max_depth": 1}),
    ]
    async with connect() as tools:
        thread_id = await tools.written("known")
    (path,) = rollouts(home)
    with path.open("ab") as file:
        file.write(text_of(*unknown))
    before = path.read_bytes()
    async with connect() as tools:
        assert (await tools("store_status", deep=True))["counts"]["malformed"] == 0
        await tools("thread_resume", thread_id=thread_id)
        await tools("turn_start", thread_id=thread_id, input="known too")
        forked = await tools("thread_fork", thread_id=thread_id)
        assert path.read_bytes().startswith(before)
        # A fork copies what it doesn't know, as Codex does.
        await tools("turn_start", thread_id=forked["thread"]["id"], input="in the fork")
        copy = Path(forked["thread"]["path"]).read_bytes()
        assert all(kind in copy for kind in (b"newest_kind", b"newest_item", b"newest_event"))
        assert all(json.loads(text) for text in copy.splitlines())
