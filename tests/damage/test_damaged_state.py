"""Damage in the state DB that is met while it serves: set aside, rebuilt, and answered from the files meanwhile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from mcp_server.storage.sqlite.bounds import StateBounds
from tests.mission.conftest import Connect, Era, Refused, Tools, connect_to
from tests.mission.conftest import era as era
from tests.mission.conftest import home as home

pytestmark = pytest.mark.anyio

RUIN = b"\xa5" * 512


@contextmanager
def opened(home: Path) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(home / "threadstore.sqlite")) as connection, connection:
        yield connection


def ruin(home: Path, table: str) -> None:
    """Overwrite the first page of a table, or of all its indexes. The header and the schema stay good."""
    with opened(home) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        kind, _, name = table.rpartition(" of ")
        column = "tbl_name" if kind == "the indexes" else "name"
        query = f"SELECT rootpage FROM sqlite_master WHERE {column} = ? AND type = ?"
        pages = connection.execute(query, (name, "index" if kind == "the indexes" else "table")).fetchall()
    with (home / "threadstore.sqlite").open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * size)
            file.write(RUIN.ljust(size, b"\xa5"))
    assert pages


def aside(home: Path) -> list[Path]:
    return [path for path in home.glob("threadstore.sqlite.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what nothing tells of."""
    with anyio.fail_after(20):
        while not await true():  # noqa: ASYNC110
            await anyio.sleep(0.05)


async def rebuilt(tools: Tools, home: Path) -> None:
    """Wait until a state DB serves again."""

    async def done() -> bool:
        return bool(aside(home)) and (await tools("store_status"))["state_db"] is not None

    await until(done)


@pytest.fixture
def connect(home: Path, era: Era) -> Connect:
    """A server that takes a database of any size for a large one, which is not read through at the start."""
    return partial(connect_to(home, era), database=StateBounds(checked_bytes=0))


async def planted(connect: Connect) -> set[str]:
    async with connect() as tools:
        return {await tools.written("one", name="the first"), await tools.written("two")}


@pytest.mark.parametrize("table", ["threads", "the indexes of threads", "events", "operations"])
async def test_every_call_is_answered_while_a_ruined_page_is_met_and_rebuilt(
    home: Path, connect: Connect, table: str
) -> None:
    ids = await planted(connect)
    ruin(home, table)
    async with connect() as tools:
        assert set(await tools.listed()) == ids
        assert (await tools("thread_read", thread_id="the first", include_turns=True))["total"] == 1
        assert len((await tools("thread_search", search_term="two"))["data"]) == 1
        await tools.events()
        if table == "operations":  # the journal: an archive that could not be planned
            with pytest.raises(Refused, match="repeat the call") as refused:
                await tools("thread_archive", thread_id="the first")
            assert refused.value.code == "state_damaged"
        await tools("thread_archive", thread_id="the first")
        await rebuilt(tools, home)
        assert len(await tools.listed(archived=True)) == 1
        new = await tools.written("and on")
        assert "thread/started" in await tools.events(new)
        status = await tools("store_status")
        assert (status["counts"]["missing"], status["counts"]["stale"]) == (0, 0)
    (kept,) = aside(home)
    assert RUIN in kept.read_bytes()
    with opened(home) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_column_that_holds_no_json_or_no_text_is_damage_too(home: Path, connect: Connect) -> None:
    ids = await planted(connect)
    with opened(home) as connection:
        connection.execute("UPDATE threads SET recorded = '{\"half'")
        connection.execute("UPDATE threads SET preview = CAST(x'fffe' AS TEXT) WHERE preview = 'two'")
    async with connect() as tools:
        assert set(await tools.listed()) == ids
        await rebuilt(tools, home)
        assert set(await tools.listed()) == ids
    with opened(home) as connection:
        recorded = connection.execute("SELECT recorded FROM threads").fetchall()
    assert all(json.loads(value) for (value,) in recorded)


async def test_facts_of_a_turn_that_can_not_be_read_are_damage_too(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written("one")
        turns = (await tools("thread_read", thread_id=thread_id, include_turns=True))["turns"]
    with opened(home) as connection:
        connection.execute("UPDATE turns SET facts = x'00'")
    async with connect() as tools:
        assert (await tools("thread_read", thread_id=thread_id, include_turns=True))["turns"] == turns
        await rebuilt(tools, home)
        assert (await tools("thread_read", thread_id=thread_id, include_turns=True))["turns"] == turns


async def test_a_state_db_that_is_deleted_under_a_server_is_rebuilt(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        ids = {await tools.written("one", name="kept"), await tools.written("two")}
        for path in home.glob("threadstore.sqlite*"):
            path.unlink()

        async def there() -> bool:
            return (home / "threadstore.sqlite").exists()

        await until(there)
        assert set(await tools.listed()) == ids
        assert (await tools("thread_read", thread_id="kept"))["thread"]["name"] == "kept"
        await tools.written("and on")

        async def indexed() -> bool:
            with opened(home) as connection, suppress(sqlite3.OperationalError):  # it may have no tables yet
                return connection.execute("SELECT count(*) FROM threads").fetchone() == (3,)
            return False

        await until(indexed)


async def test_a_server_whose_state_db_another_moved_aside_goes_over_to_the_new_one(
    home: Path, connect: Connect
) -> None:
    async with connect() as one:
        ids = {await one.written("one")}
        (home / "threadstore.sqlite").rename(home / "threadstore.sqlite.corrupt-1")
        for suffix in ("-wal", "-shm"):
            (home / f"threadstore.sqlite{suffix}").rename(home / f"threadstore.sqlite.corrupt-1{suffix}")
        async with connect() as other:
            ids.add(await other.written("two"))

            async def seen(by: Tools) -> bool:
                return set(await by.listed()) == ids

            await until(partial(seen, one))
            ids.add(await one.written("three"))
            # It may have seen the second thread's file alone so far, and go over only now.
            await until(partial(seen, other))
