"""What another program has just done to the home is in the next answer, without a watcher and without a wait."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from mcp_server.codex.name_index import name_line
from tests.mission.conftest import Connect, Tools, rollouts
from tests.mission.searches import ONE, TWO, add, asked, joined, put, snippets, threads
from tests.threads.rollout_lines import agent, ended, line, started, user

pytestmark = pytest.mark.anyio

CODEX = """
CREATE TABLE threads (id TEXT PRIMARY KEY, rollout_path TEXT NOT NULL, name TEXT, title TEXT NOT NULL DEFAULT '',
    preview TEXT NOT NULL DEFAULT '', first_user_message TEXT NOT NULL DEFAULT '',
    history_mode TEXT NOT NULL DEFAULT 'paginated', updated_at_ms INTEGER, git_sha TEXT,
    git_branch TEXT, git_origin_url TEXT, thread_section_id TEXT, section_entered_at_ms INTEGER);
CREATE TABLE thread_sections (id TEXT PRIMARY KEY, name TEXT NOT NULL);
"""


def file_of(home: Path, thread_id: str) -> Path:
    (path,) = (path for path in rollouts(home) if thread_id in path.name)
    return path


def in_codex(home: Path, *statements: str) -> None:
    """What Codex does to its own database."""
    path = home / "state_5.sqlite"
    new = not path.exists()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        if new:
            connection.executescript(CODEX)
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.fixture
async def served(home: Path, connect: Connect) -> AsyncIterator[Tools]:
    """A home with two threads, one of them with a paginated history, that was answered from before."""
    put(home, ONE, started("a"), user("first words"), ended("a"))
    put(home, TWO, started("b"), asked("b", "second words"), ended("b"), history_mode="paginated")
    async with connect() as tools:
        await tools("store_status")  # the first build is over
        assert await tools.listed() == [TWO, ONE]
        yield tools


async def test_a_new_rollout_is_listed_read_and_found(served: Tools, home: Path) -> None:
    new = str(uuid.uuid4())
    put(home, new, started("c"), user("third words"), ended("c"))
    assert sorted(await served.listed()) == sorted([ONE, TWO, new])
    assert await threads(served, "third words") == [new]
    assert (await served("thread_read", thread_id=new[:13]))["thread"]["preview"] == "third words"


async def test_a_rollout_in_a_date_folder_of_its_own_is_listed(served: Tools, home: Path) -> None:
    new = str(uuid.uuid4())
    folder = home / "sessions/2027/01/02"
    folder.mkdir(parents=True)
    data = file_of(home, ONE).read_bytes().replace(ONE.encode(), new.encode())
    (folder / f"rollout-2027-01-02T03-04-05-{new}.jsonl").write_bytes(data)
    assert new in await served.listed()


async def test_each_of_many_rollouts_in_a_row_is_seen_though_the_clock_ticks_more_slowly(
    served: Tools, home: Path
) -> None:
    for n in range(20):
        new = str(uuid.uuid4())
        put(home, new, user(f"nr {n}"))
        assert new in await served.listed()


async def test_a_rollout_that_another_moves_is_where_it_went(served: Tools, home: Path) -> None:
    path, archive = file_of(home, ONE), home / "archived_sessions"
    archive.mkdir()
    path.rename(archive / path.name)
    answer = await served("thread_list")
    assert ([thread["id"] for thread in answer["data"]], answer["total"], answer["hidden"]["archived"]) == ([TWO], 1, 1)
    assert await served.listed(archived=True) == [ONE]
    (archive / path.name).rename(path)
    assert await served.listed() == [TWO, ONE]
    assert await served.listed(archived=True) == []
    assert await served.events(ONE) == ["thread/archived", "thread/unarchived"]


async def test_a_rollout_that_another_deletes_is_gone_from_lists_and_counts(served: Tools, home: Path) -> None:
    file_of(home, ONE).unlink()
    answer = await served("thread_list")
    assert ([thread["id"] for thread in answer["data"]], answer["total"]) == ([TWO], 1)
    assert await threads(served, "first words") == []


async def test_a_folder_that_is_taken_away_takes_its_threads_along(served: Tools, home: Path) -> None:
    shutil.rmtree(home / "sessions/2026")
    assert (await served("thread_list"))["total"] == 0


async def test_a_rollout_that_another_puts_in_the_place_of_one_is_read_anew(served: Tools, home: Path) -> None:
    path = file_of(home, ONE)
    other = path.with_name("put-in-its-place")
    other.write_bytes(path.read_bytes().replace(b"first words", b"other words"))
    other.replace(path)
    assert [thread["preview"] for thread in (await served("thread_list"))["data"]] == ["second words", "other words"]
    assert await snippets(served, "words") == ["other **words**", "second **words**"]


async def test_what_another_writes_to_a_thread_moves_it_up_and_is_found(served: Tools, home: Path) -> None:
    assert (await served.listed(sort_key="updated_at"))[0] == TWO
    add(home, ONE, started("d"), user("words that came"), agent("and were answered"), ended("d"))
    assert await served.listed(sort_key="updated_at") == [ONE, TWO]
    assert await snippets(served, '"words that"') == ["**words that** came"]
    read = await served("thread_read", thread_id=ONE, include_turns=True)
    assert [turn["id"] for turn in read["turns"]] == ["d", "a"]


async def test_the_first_message_of_a_thread_lists_it(served: Tools, home: Path) -> None:
    new = str(uuid.uuid4())
    put(home, new, started("e"))
    assert new not in await served.listed()
    add(home, new, user("at last"))
    assert new in await served.listed()


async def test_a_name_that_another_gives_is_shown_found_and_taken_for_the_thread(served: Tools, home: Path) -> None:
    with (home / "session_index.jsonl").open("ab") as index:
        index.write(name_line(ONE, "a new name", 1))
    assert [thread["name"] for thread in (await served("thread_list"))["data"]] == [None, "a new name"]
    assert await served.listed(search_term="new name") == [ONE]
    assert (await served("thread_read", thread_id="a new name"))["thread"]["id"] == ONE


async def test_a_name_that_codex_has_in_its_database_alone_is_shown_and_found(served: Tools, home: Path) -> None:
    row = f"'{TWO}', '{file_of(home, TWO)}'"
    in_codex(home, f"INSERT INTO threads (id, rollout_path, name) VALUES ({row}, 'as Codex calls it')")
    assert [thread["name"] for thread in (await served("thread_list"))["data"]] == ["as Codex calls it", None]
    assert await served.listed(search_term="Codex calls") == [TWO]
    in_codex(home, "UPDATE threads SET name = 'otherwise'")
    assert (await served("thread_read", thread_id="otherwise"))["thread"]["name"] == "otherwise"
    assert await threads(served, "otherwise") == [TWO]


async def test_git_info_and_sections_of_codex_are_shown_as_they_are_now(served: Tools, home: Path) -> None:
    in_codex(
        home,
        "INSERT INTO thread_sections VALUES ('s', 'Pinned')",
        f"INSERT INTO threads (id, rollout_path, git_branch, thread_section_id, section_entered_at_ms) "
        f"VALUES ('{TWO}', '{file_of(home, TWO)}', 'main', 's', 1500)",
    )
    shown = (await served("thread_list"))["data"][0]
    assert (shown["git_info"]["branch"], shown["section"], shown["section_entered_at"]) == (
        "main",
        {"id": "s", "name": "Pinned"},
        1,
    )
    assert await served.listed(section_id="Pinned") == [TWO]
    in_codex(home, "UPDATE threads SET git_branch = 'topic', thread_section_id = NULL")
    shown = (await served("thread_read", thread_id=TWO))["thread"]
    assert (shown["git_info"]["branch"], "section" in shown) == ("topic", False)
    assert await served.listed(section_id="Pinned") == []


async def test_a_sub_agent_that_has_just_come_is_archived_with_its_parent(served: Tools, home: Path) -> None:
    new = str(uuid.uuid4())
    put(home, new, user("below"), source={"subagent": {"thread_spawn": {"parent_thread_id": ONE, "depth": 1}}})
    assert (await served("thread_archive", thread_id=ONE))["archived"] == [ONE, new]


async def test_what_a_process_does_right_before_the_call_is_in_the_answer(served: Tools, home: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "with path.open('ab') as file: file.write(sys.argv[2].encode())\n"
        "path.with_name(path.name.replace(sys.argv[3], sys.argv[4])).write_bytes("
        "path.read_bytes().replace(sys.argv[3].encode(), sys.argv[4].encode()))\n"
    )
    new, more = str(uuid.uuid4()), joined([user("by a process")]).decode()
    await anyio.run_process([sys.executable, "-c", script, str(file_of(home, ONE)), more, ONE, new])
    assert set(await served.listed(sort_key="updated_at")) == {new, ONE, TWO}
    assert set(await threads(served, "by a process")) == {new, ONE}


# ---------------------------------------------------------------------------------------------- large homes


def many(home: Path, number: int) -> list[str]:
    """Threads that were written to long ago, each a second after the one before, the last of them an hour ago."""
    ids = [f"01a20581-0000-7000-8000-{n:012x}" for n in range(number)]
    for n, thread_id in enumerate(ids):
        put(home, thread_id, started("a"), user(f"nr {n}"), ended("a"), history_mode="legacy")
        at = 1_795_000_000 + n
        os.utime(file_at(home, thread_id), (at, at))
    return ids


def file_at(home: Path, thread_id: str) -> Path:
    return home / "sessions/2026/11/22" / f"rollout-2026-11-22T10-00-00-{thread_id}.jsonl"


@pytest.fixture
async def large(home: Path, connect: Connect) -> AsyncIterator[tuple[Tools, list[str]]]:
    """More threads than each look takes in."""
    ids = many(home, 400)
    async with connect() as tools:
        await tools("store_status")
        assert (await tools("thread_list"))["total"] == 400
        yield tools, ids


def write_to(home: Path, thread_id: str) -> None:
    with file_at(home, thread_id).open("ab") as file:
        file.write(joined([started("z"), user("written since"), ended("z")]))


async def test_an_old_thread_that_somebody_has_loaded_moves_up_when_it_is_written_to(
    large: tuple[Tools, list[str]], home: Path
) -> None:
    tools, (oldest, *_) = large
    (home / "thread-writer-locks").mkdir(exist_ok=True)
    (home / f"thread-writer-locks/{oldest}.lock").touch()
    write_to(home, oldest)
    assert (await tools.listed(sort_key="updated_at"))[0] == oldest


async def test_an_old_thread_that_codex_has_written_to_and_let_go_moves_up(
    large: tuple[Tools, list[str]], home: Path
) -> None:
    tools, (oldest, *_) = large
    write_to(home, oldest)
    row = f"'{oldest}', '{file_of(home, oldest)}'"
    in_codex(home, f"INSERT INTO threads (id, rollout_path, updated_at_ms) VALUES ({row}, {10**13})")
    assert (await tools.listed(sort_key="updated_at"))[0] == oldest


async def test_an_old_thread_shows_what_was_written_to_it_wherever_it_is_shown(
    large: tuple[Tools, list[str]], home: Path
) -> None:
    tools, (oldest, *_) = large
    write_to(home, oldest)
    first = (await tools("thread_list", sort_direction="asc", limit=1))["data"][0]
    assert first["id"] == oldest
    assert first["updated_at"] == int(file_at(home, oldest).stat().st_mtime)
    # and so it has its place from then on
    assert (await tools.listed(sort_key="updated_at"))[0] == oldest


async def test_what_a_server_with_an_index_of_its_own_writes_is_in_the_next_answer(
    connect: Connect, home: Path, tmp_path: Path
) -> None:
    async with connect() as reader, connect(state_path=tmp_path / "other/threadstore.sqlite") as writer:
        assert await reader.listed() == []
        thread_id = await writer.written("words of another", name="theirs")
        assert await reader.listed() == [thread_id]
        assert await reader.listed(search_term="theirs") == [thread_id]
        await writer("turn_start", thread_id=thread_id, input="more of it")
        assert await threads(reader, "more of it") == [thread_id]
        await writer("turn_complete", thread_id=thread_id)
        await writer("thread_archive", thread_id=thread_id)
        assert await reader.listed() == []
        assert await reader.listed(archived=True) == [thread_id]


async def test_a_file_that_is_no_thread_is_read_once_and_not_at_every_look(served: Tools, home: Path) -> None:
    (file_of(home, ONE).parent / f"rollout-2026-11-22T10-00-00-{uuid.uuid4()}.jsonl").write_bytes(b"{}\n")
    put(home, str(uuid.uuid4()), line("event_msg", type="nothing"))
    assert len(await served.listed(include_without_preview=True)) == 3
