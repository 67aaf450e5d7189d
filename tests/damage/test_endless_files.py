"""No file exhausts the memory: lines, what a compressed file expands to, turns, and what is told of damage are bounded,
and what is left out for that is said."""

from __future__ import annotations

import io
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from mcp_server.codex.bounds import ReadingBounds
from mcp_server.codex.lines import MalformedLine, RawLine, decode_line, decode_raw
from mcp_server.codex.name_index import name_line
from mcp_server.storage import regular
from mcp_server.storage.files import session_index as name_index
from mcp_server.storage.rollout_text import RolloutText
from tests.by_night import nightly
from tests.mission.conftest import Connect, Era, Refused
from tests.mission.conftest import connect as connect
from tests.mission.conftest import home as home
from tests.servers import stdio_server, structure
from tests.stores.rollout_text import event, meta, text_of, user

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdFile
else:
    from backports.zstd import ZstdFile

pytestmark = pytest.mark.anyio

THREAD = "01a20564-0000-7000-8000-000000000009"
OTHER = "01a20564-0000-7000-8000-00000000000a"
DAY = "sessions/2026/11/22"


@pytest.fixture
def era() -> Era:
    """The protocol makes no difference to the files."""
    return "auto"


def path_of(home: Path, thread_id: str = THREAD, suffix: str = "jsonl") -> Path:
    path = home / DAY / f"rollout-2026-11-22T10-00-00-{thread_id}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def turn(number: int, question: str, answer: str, *between: Any) -> list[Any]:
    return [
        event("task_started", turn_id=f"turn-{number}"),
        user(question),
        *between,
        event("agent_message", message=answer),
        event("task_complete", turn_id=f"turn-{number}"),
    ]


def plant(home: Path, *lines: Any, thread_id: str = THREAD) -> None:
    path_of(home, thread_id).write_bytes(text_of(meta(thread_id), *lines))


# ---------------------------------------------------------------------------------------------- lines


SHORT_LINES = ReadingBounds(batch_bytes=1_000, line_bytes=10_000)


def naive(data: bytes, most: int) -> list[tuple[int, int, bool]]:
    """Where the lines of some bytes begin and end, and whether they are too long."""
    found: list[tuple[int, int, bool]] = []
    offset = 0
    for line in data.split(b"\n"):
        end = min(offset + len(line) + 1, len(data))
        if line.strip() or len(line) > most:
            found.append((offset, end, len(line) > most))
        offset += len(line) + 1
    return found


@given(st.lists(st.tuples(st.sampled_from([b"x", b" ", b"\n", b'{"a":1}', b"y" * 5]), st.integers(0, 40)), max_size=20))
def test_lines_are_cut_from_any_bytes_and_the_long_ones_are_not_held(pieces: list[tuple[bytes, int]]) -> None:
    data = b"".join(piece * times for piece, times in pieces)
    text = RolloutText("p", io.BytesIO(data), len(data), ReadingBounds(batch_bytes=7, line_bytes=50, kept_bytes=10))
    lines = [raw for batch in text.batches() for raw in batch]
    assert [(raw.offset, raw.end, raw.cut > 0) for raw in lines] == naive(data, 50)
    for raw in lines:
        whole = data[raw.offset : raw.end].removesuffix(b"\n")
        assert raw.data == (whole[-10:] if raw.cut else whole)


def test_a_line_that_was_cut_is_malformed_even_if_its_end_looks_like_a_line() -> None:
    end = text_of(meta()).strip()
    with pytest.raises(MalformedLine, match="longer than 64 MB"):
        decode_raw(RawLine(0, end, cut=1))


def test_a_line_of_very_many_values_is_malformed() -> None:
    bounds = ReadingBounds(values=1_000, uncounted_bytes=1_000)
    many = b'{"timestamp":"","type":"x","payload":{"a":[' + b"[]," * 1_000 + b"1]}}"
    with pytest.raises(MalformedLine, match="more than 1000 values"):
        decode_line(many, bounds)
    text = b'{"timestamp":"","type":"x","payload":{"a":"' + b"[] " * 1_000 + b'"}}'
    with pytest.raises(MalformedLine):  # brackets in a text count too: to tell them apart would take a reading
        decode_line(text, bounds)
    assert decode_line(text.replace(b"[] ", b"ab "), bounds).payload["a"].startswith("ab ab")


async def test_a_line_that_is_too_long_is_reported_and_the_lines_around_it_are_read(
    home: Path, connect: Connect
) -> None:
    long = event("agent_message", message="z" * 20_000)
    plant(home, *turn(1, "before", "yes", long), *turn(2, "after", "no"))
    async with connect(reading=SHORT_LINES) as tools:
        assert await tools.listed() == [THREAD]
        read = await tools("thread_read", thread_id=THREAD, include_turns=True, sort_direction="asc")
        assert [len(one["items"]) for one in read["turns"]] == [2, 2]
        assert len((await tools("thread_search", search_term="after"))["data"]) == 1
        (told,) = (await tools("store_status", deep=True))["malformed"]
        assert "longer than" in told["reason"]
        assert path_of(home).read_bytes()[told["offset"] :].startswith(text_of(long)[:60])
        # and on behind a long line at the end
        with path_of(home).open("ab") as file:
            file.write(text_of(long, *turn(3, "the last", "yes")))
        assert (await tools("thread_read", thread_id=THREAD, include_turns=True))["total"] == 3


async def test_a_first_line_that_is_too_long_makes_the_file_unreadable(home: Path, connect: Connect) -> None:
    path_of(home).write_bytes(text_of(meta(cwd="/" + "w" * 20_000), user("hello")))
    async with connect(reading=SHORT_LINES) as tools:
        assert await tools.listed() == []
        (told,) = (await tools("store_status"))["malformed"]
        assert told["path"].endswith(path_of(home).name)


async def test_of_very_many_bad_lines_the_first_are_reported(home: Path, connect: Connect) -> None:
    path_of(home).write_bytes(text_of(meta(THREAD), user("hello")) + b"{nope\n" * 100)
    async with connect(reading=ReadingBounds(bad_lines=5)) as tools:
        assert await tools.listed() == [THREAD]
        told = (await tools("store_status", deep=True))["malformed"]
        assert len(told) == 6
        assert "more lines" in told[-1]["reason"]


# ---------------------------------------------------------------------------------------------- compressed files


async def test_a_compressed_rollout_that_expands_too_far_is_reported_and_costs_no_other_thread(
    home: Path, connect: Connect
) -> None:
    for thread_id, size in ((THREAD, (1 << 20) + 1), (OTHER, 1 << 20)):
        lines = text_of(meta(thread_id), *turn(1, "hello", "yes"))
        with ZstdFile(path_of(home, thread_id, "jsonl.zst"), "w") as file:
            file.write(lines + b"\n" * (size - len(lines)))
    async with connect(reading=ReadingBounds(expanded_bytes=1 << 20)) as tools:
        assert await tools.listed() == [OTHER]
        assert (await tools("thread_read", thread_id=OTHER, include_turns=True))["total"] == 1
        status = await tools("store_status", deep=True)
        assert [(bad["path"][-len(THREAD) - 10 : -10], bad["reason"]) for bad in status["malformed"]] == [
            (THREAD, "expands to more than 1 MB")
        ]
        with pytest.raises(Refused, match="expands to more than") as refused:
            await tools("thread_read", thread_id=THREAD, include_turns=True)
        assert refused.value.code == "damaged_rollout"


# ---------------------------------------------------------------------------------------------- turns


SHORT_READINGS = ReadingBounds(read_bytes=20_000, small_bytes=10_000, open_turn_bytes=20_000)
"""No more than 20,000 bytes are read at once."""

LONG_TURN = turn(
    1, "a long story", "the end", *(event("agent_message", message=f"part {n} {'z' * 900}") for n in range(60))
)


async def test_a_turn_that_is_too_long_to_be_read_is_shown_by_its_first_and_last_message(
    home: Path, connect: Connect
) -> None:
    plant(home, *LONG_TURN, *turn(2, "short", "yes"))
    async with connect(reading=SHORT_READINGS) as tools:
        answer = await tools(
            "thread_read", thread_id=THREAD, include_turns=True, items_view="full", sort_direction="asc"
        )
        long, short = answer["turns"]
        assert (long["items_view"], short["items_view"]) == ("summary", "full")
        assert [item["type"] for item in long["items"]] == ["userMessage", "agentMessage"]
        assert long["items"][-1]["text"] == "the end"


async def test_the_items_of_a_long_turn_are_read_in_pages_that_can_be(home: Path, connect: Connect) -> None:
    plant(home, *LONG_TURN)
    async with connect(reading=replace(SHORT_READINGS, chunk_bytes=2_000, items_at_once=5)) as tools:
        page = await tools("thread_items", thread_id=THREAD, limit=5)
        assert (page["total"], len(page["data"])) == (62, 5)
        with pytest.raises(Refused, match="too long to be read together") as refused:
            await tools("thread_items", thread_id=THREAD, limit=60)
        assert refused.value.code == "limit_reached"
        last = (await tools("thread_items", thread_id=THREAD, limit=1, sort_direction="desc"))["data"][0]["item"]
        assert last["text"] == "the end"
        found = await tools("thread_items", thread_id=THREAD, item_id=last["id"])
        assert found["data"][0]["item"]["text"] == "the end"


async def test_a_search_says_of_a_turn_that_is_too_long_that_it_was_left_out(home: Path, connect: Connect) -> None:
    plant(home, *LONG_TURN, *turn(2, "a short story", "yes"))
    async with connect(reading=SHORT_READINGS) as tools:
        found = await tools("thread_search", search_term="story")
        assert [one["turn_id"] for row in found["data"] for one in row["passages"]] == ["turn-2"]
        assert any("too much to read" in reason for reason in found["incomplete"])


async def test_a_rollout_of_too_many_turns_is_listed_and_its_history_refused(home: Path, connect: Connect) -> None:
    plant(home, *(line for number in range(50) for line in turn(number, f"question {number}", "yes")))
    plant(home, *turn(1, "question of another", "yes"), thread_id=OTHER)
    async with connect(reading=ReadingBounds(indexed_items=100)) as tools:
        assert set(await tools.listed()) == {THREAD, OTHER}
        with pytest.raises(Refused, match="more turns and items than can be indexed") as refused:
            await tools("thread_read", thread_id=THREAD, include_turns=True)
        assert refused.value.code == "damaged_rollout"
        found = await tools("thread_search", search_term="question")
        assert [hit["thread"]["id"] for hit in found["data"]] == [OTHER]
        assert any(THREAD in reason for reason in found["incomplete"])


async def test_a_running_turn_of_any_length_is_indexed_without_holding_its_texts(home: Path, connect: Connect) -> None:
    plant(home, *LONG_TURN)
    async with connect(reading=ReadingBounds(open_turn_bytes=5_000)) as tools:
        read = await tools("thread_read", thread_id=THREAD, include_turns=True, items_view="full")
        items = read["turns"][0]["items"]
        assert [item.get("text", "")[:7] for item in items[1:4]] == ["part 0 ", "part 1 ", "part 2 "]
        for word in ("part 0", "part 30", "part 59", "the end"):
            assert len((await tools("thread_search", search_term=word))["data"]) >= 1


# ---------------------------------------------------------------------------------------------- files beside


async def test_a_very_long_name_index_is_read_from_its_end(home: Path, connect: Connect) -> None:
    plant(home, *turn(1, "hello", "yes"))
    with (home / "session_index.jsonl").open("wb") as file:
        file.write(name_line(THREAD, "the first", 0))
        file.seek(name_index.READ_BYTES)
        file.write(b"\n" + name_line(OTHER, "another", 0) + name_line(THREAD, "the last", 0))
    async with connect() as tools:
        assert (await tools("thread_read", thread_id="the last"))["thread"]["id"] == THREAD
        before = (home / "session_index.jsonl").read_bytes()
        await tools("thread_delete", thread_id=THREAD, confirm_thread_id=THREAD)
        assert (home / "session_index.jsonl").read_bytes() == before  # a part of it is not written over the whole
        assert await tools.listed() == []


def test_a_file_that_is_too_long_to_be_one_of_settings_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="longer than 4 MB"):
        regular.content(tmp_path / "sparse", 4 << 20)


# ---------------------------------------------------------------------------------------------- for real


def sparse(home: Path) -> None:
    with path_of(home).open("wb") as file:
        file.truncate(4 << 30)


def sparse_behind_a_thread(home: Path) -> None:
    plant(home, *turn(1, "findme", "yes"))
    with path_of(home).open("ab") as file:
        file.truncate(4 << 30)


def bomb(home: Path) -> None:
    with ZstdFile(path_of(home, suffix="jsonl.zst"), "w", level=1) as file:
        file.write(text_of(meta(), *turn(1, "findme", "yes")))
        chunk = b"x" * (8 << 20)
        for _ in range(200):
            file.write(chunk)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process and keeps sparse files")
@pytest.mark.parametrize("make", [sparse, nightly(sparse_behind_a_thread), bomb])
async def test_a_server_with_little_memory_serves_beside_files_of_gigabytes(
    home: Path, make: Callable[[Path], None]
) -> None:
    plant(home, *turn(1, "findme", "yes"), thread_id=OTHER)
    make(home)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, before[1]))  # its child has no more
    try:
        with anyio.fail_after(300):
            async with Client(stdio_server(home, env=dict(os.environ))) as client:
                listed = await structure(client, "thread_list")
                assert OTHER in [thread["id"] for thread in listed["data"]]
                read = await structure(client, "thread_read", thread_id=OTHER, include_turns=True)
                assert read["total"] == 1
                found = await structure(client, "thread_search", search_term="findme")
                assert OTHER in [hit["thread"]["id"] for hit in found["data"]]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
