"""Damaged rollouts and state DBs, through the server: the healthy thread stays, each loss is reported."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mission.conftest import Connect, Era, Json, Refused, Tools, rollouts
from tests.mission.conftest import connect as connect
from tests.mission.conftest import era as era
from tests.mission.conftest import home as home

pytestmark = pytest.mark.anyio

OTHER = "01a20564-0000-7000-8000-00000000000"


@dataclass(frozen=True)
class Damage:
    """How a good rollout is damaged; whether it is still listed and read; what store_status says of it."""

    make: Callable[[bytes], bytes]
    listed: bool
    reported: str | None
    turns: int | None = None
    at: Callable[[bytes], int] | None = None
    """Offset of the damage in the good bytes."""


def lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def without_meta(data: bytes) -> bytes:
    return b"".join(lines(data)[1:])


def meta_second(data: bytes) -> bytes:
    first, second, *rest = lines(data)
    return b"".join((second, first, *rest))


def middle(data: bytes) -> int:
    """Where `in_the_middle` puts its noise."""
    return len(b"".join(lines(data)[:4]))


def in_the_middle(noise: bytes) -> Callable[[bytes], bytes]:
    return lambda data: b"".join((*lines(data)[:4], noise + b"\n", *lines(data)[4:]))


ODD_SETTINGS = (
    b'{"timestamp":"2026-11-22T23:04:50.123Z","type":"turn_context","payload":'
    b'{"model":"m","cwd":5,"effort":{"a":1},"approval_policy":[],"sandbox_policy":7,"collaboration_mode":""}}\n'
)
# Kinder than Codex, on purpose: it resumes no rollout whose first line is bad; we skip the line.
DAMAGES: dict[str, Damage] = {
    "empty": Damage(lambda _: b"", False, "empty"),
    "only blank lines": Damage(lambda _: b"\n\n\n", False, "empty"),
    "no session_meta": Damage(without_meta, False, "session metadata"),
    "meta not first": Damage(meta_second, False, "session metadata"),
    "invalid JSON first": Damage(lambda data: b"{nope\n" + data, True, "malformed", 1, lambda _: 0),
    "invalid JSON in the middle": Damage(in_the_middle(b'{"type": nope}'), True, "malformed", 1, middle),
    "invalid JSON last": Damage(lambda data: data + b"{nope\n", True, "malformed", 1, len),
    "a torn tail": Damage(lambda data: data + b'{"timestamp":"2026', True, "torn", 1, len),
    "NUL bytes": Damage(in_the_middle(b"\0" * 4096), True, "malformed", 1, middle),
    "invalid UTF-8": Damage(in_the_middle(b'{"type":"x","payload":{"a":"\xff\xfe"}}'), True, "UTF-8", 1, middle),
    "an unknown kind of line": Damage(in_the_middle(b'{"type":"newest","payload":{"a":1}}'), True, None, 1),
    "settings of other types": Damage(lambda data: data + ODD_SETTINGS, True, None, 1),
    "a line of 50 MB": Damage(in_the_middle(b'{"type":"x","payload":{"a":"%s"}}' % (b"y" * 50_000_000)), True, None, 1),
    "deep nesting": Damage(in_the_middle(b'{"type":"x","payload":' + b"[" * 100_000), True, "", 1, middle),
}


async def two_threads(connect: Connect) -> tuple[str, str]:
    async with connect() as tools:
        return await tools.written("healthy"), await tools.written("to be damaged")


def file_of(home: Path, thread_id: str) -> Path:
    return next(path for path in rollouts(home) if thread_id in path.name)


@pytest.mark.parametrize("name", DAMAGES)
async def test_a_damaged_rollout_costs_no_other_thread_and_is_reported(home: Path, connect: Connect, name: str) -> None:
    damage = DAMAGES[name]
    healthy, hurt = await two_threads(connect)
    path = file_of(home, hurt)
    good = path.read_bytes()
    path.write_bytes(damage.make(good))
    for keep_index in (True, False):
        if not keep_index:
            (home / "threadstore.sqlite").unlink()
        async with connect() as tools:
            assert set(await tools.listed()) >= {healthy}
            if not keep_index:
                assert (hurt in await tools.listed()) == damage.listed
            assert (await tools("thread_read", thread_id=healthy, include_turns=True))["total"] == 1
            status = await tools("store_status", deep=True)
            told = [b for b in status["malformed"] if b["path"].endswith(path.name)]
            assert bool(told) == (damage.reported is not None)
            if damage.reported is not None:
                assert all(damage.reported in b["reason"] or damage.listed for b in told)
            if damage.at is not None:
                assert damage.at(good) in [b["offset"] for b in told]
            if damage.turns is not None:
                await _goes_on(tools, hurt, damage.turns)
                damage = Damage(damage.make, damage.listed, damage.reported, damage.turns + 1)
            else:
                with pytest.raises(Refused):
                    await tools("thread_resume", thread_id=hurt)


async def _goes_on(tools: Tools, thread_id: str, turns: int) -> None:
    """Read, resume and append: what was there stays, what comes is whole."""
    assert (await tools("thread_read", thread_id=thread_id, include_turns=True))["total"] == turns
    await tools("thread_resume", thread_id=thread_id)
    await tools("turn_start", thread_id=thread_id, input="and on")
    await tools("turn_complete", thread_id=thread_id, message="done")
    read = await tools("thread_read", thread_id=thread_id, include_turns=True)
    assert [turn["status"] for turn in read["turns"]] == ["completed"] * (turns + 1)
    await tools("thread_unsubscribe", thread_id=thread_id)


async def test_files_in_odd_places_and_with_odd_names_are_listed_under_their_own_ids(
    home: Path, connect: Connect
) -> None:
    healthy, other = await two_threads(connect)
    good = file_of(home, other).read_text(encoding="utf-8")
    day = file_of(home, other).parent

    def put(path: Path, thread_id: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(good.replace(other, thread_id), encoding="utf-8")

    put(home / "sessions" / "1999" / "odd" / f"rollout-2026-11-22T10-00-00-{OTHER}1.jsonl", f"{OTHER}1")
    put(home / "sessions" / f"rollout-{OTHER}2.jsonl", f"{OTHER}2")  # a name without a time
    put(day / f"rollout-2026-11-22T10-00-00-{OTHER}3.jsonl", f"{OTHER}4")  # another thread's meta
    put(home / "archived_sessions" / file_of(home, other).name, other)  # the same id twice
    put(day / f"rollout-2099-01-01T00-00-00-{OTHER}5.jsonl", f"{OTHER}5")
    future = 4_070_908_800
    os.utime(day / f"rollout-2099-01-01T00-00-00-{OTHER}5.jsonl", (future, future))
    async with connect() as tools:
        listed = await tools.listed(sort_key="updated_at")
        assert set(listed) == {healthy, other, *(f"{OTHER}{n}" for n in (1, 2, 4, 5))}
        assert listed[0] == f"{OTHER}5"
        assert not (await tools("thread_read", thread_id=other))["thread"]["archived"]
        status = await tools("store_status")
        assert any(other in duplicate for duplicate in status["duplicates"])
        assert (await tools("thread_read", thread_id=f"{OTHER}4", include_turns=True))["total"] == 1


@pytest.mark.nightly
async def test_a_million_lines_are_listed_read_and_appended_to(home: Path, connect: Connect, era: Era) -> None:
    if era == "legacy":
        pytest.skip("once is enough: the protocol makes no difference to the file")
    healthy, long = await two_threads(connect)
    path = file_of(home, long)
    path.write_bytes(in_the_middle(b'{"type":"x","payload":{}}\n' * 999_990 + b"{nope")(path.read_bytes()))
    async with connect() as tools:
        assert set(await tools.listed()) == {healthy, long}
        await _goes_on(tools, long, 1)
        (told,) = (await tools("store_status", deep=True))["malformed"]
        assert told["path"].endswith(path.name)
        assert path.read_bytes()[told["offset"] :].startswith(b"{nope\n")


async def test_an_unreadable_file_is_reported_and_costs_no_other_thread(
    home: Path, connect: Connect, tmp_path: Path
) -> None:
    healthy, other = await two_threads(connect)
    day = file_of(home, other).parent

    def path(number: int, suffix: str = "jsonl") -> Path:
        return day / f"rollout-2026-11-22T10-00-00-{OTHER}{number}.{suffix}"

    path(1, "jsonl.zst").write_bytes(b"this is not compressed")
    path(2, "jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd\x24")  # cut off after its header
    path(3).mkdir()
    path(4).symlink_to(tmp_path / "nowhere")
    path(5).symlink_to(path(5))
    os.mkfifo(path(6))  # whoever opened it would wait for ever
    (tmp_path / "elsewhere").mkdir()
    (day / "linked").symlink_to(tmp_path / "elsewhere")
    file_of(home, other).rename(tmp_path / "elsewhere" / path(7).name)
    async with connect() as tools:
        assert await tools.listed() == [healthy]
        status = await tools("store_status", deep=True)
        reasons = {b["path"].rsplit("/", 1)[1]: b["reason"] for b in status["malformed"]}
        assert reasons.pop(path(1, "jsonl.zst").name)
        assert reasons.pop(path(2, "jsonl.zst").name)
        assert reasons == {
            path(4).name: "is a link that leads to no file",
            path(5).name: "is a link that leads to no file",
            path(6).name: "is no regular file",
        }
        for number in range(1, 8):
            with pytest.raises(Refused):
                await tools("thread_read", thread_id=f"{OTHER}{number}", include_turns=True)
        await tools.written("and on")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
@pytest.mark.parametrize("name", [b"rollout-\xff.jsonl", b"rollout-a\\b.jsonl", b"\xff/rollout-c.jsonl"])
@pytest.mark.parametrize("index", ["kept", "rebuilt"])
async def test_a_name_that_cant_be_stored_is_reported_and_stops_nothing(
    home: Path, connect: Connect, name: bytes, index: str
) -> None:
    healthy, other = await two_threads(connect)
    file = Path(os.fsdecode(os.fsencode(file_of(home, other).parent) + b"/" + name))
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(file_of(home, other).read_bytes())
    if index == "rebuilt":
        (home / "threadstore.sqlite").unlink()
    async with connect() as tools:
        assert set(await tools.listed()) == {healthy, other}
        for deep in (False, True):
            status = await tools("store_status", deep=deep)
            (told,) = status["malformed"]
            assert "a name that is not UTF-8 or has a backslash" in told["reason"]
            assert status["counts"]["files_active"] == 2
        assert (await tools("thread_archive", thread_id=other))["archived"] == [other]
        await tools.written("and on")
    assert file.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unreadable for root")
async def test_a_file_without_read_permission_is_reported(home: Path, connect: Connect) -> None:
    healthy, other = await two_threads(connect)
    file_of(home, other).chmod(0)
    (home / "threadstore.sqlite").unlink()
    async with connect() as tools:
        assert await tools.listed() == [healthy]
        (told,) = (await tools("store_status", deep=True))["malformed"]
        assert "Permission denied" in told["reason"]


STATE_DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "bytes flipped": lambda data: data[:100] + bytes(255 - b for b in data[100:8_000]) + data[8_000:],
    "another program's file": lambda _: b"PK\x03\x04 this is no database at all" * 100,
}


@pytest.mark.parametrize("name", STATE_DAMAGES)
async def test_a_damaged_state_db_is_set_aside_and_rebuilt(home: Path, connect: Connect, name: str) -> None:
    healthy, other = await two_threads(connect)
    database = home / "threadstore.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damaged = STATE_DAMAGES[name](database.read_bytes())
    for path in home.glob("threadstore.sqlite-*"):
        path.unlink()
    database.unlink() if damaged is None else database.write_bytes(damaged)
    async with connect() as tools:
        assert set(await tools.listed()) == {healthy, other}
        assert (await tools("store_status"))["state_db"] == str(database)
        await tools.written("and on")
    kept = [path for path in home.glob("threadstore.sqlite.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]
    aside = [path.read_bytes() for path in kept]
    assert aside == ([damaged] if damaged else [])


async def test_a_schema_of_a_newer_version_is_tolerated(home: Path, connect: Connect) -> None:
    healthy, other = await two_threads(connect)
    with closing(sqlite3.connect(home / "threadstore.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9999_of_the_future'")
        connection.execute("CREATE TABLE of_the_future (id INTEGER)")
    async with connect() as tools:
        assert set(await tools.listed()) == {healthy, other}


async def test_a_full_disk_is_a_clear_error_and_service_goes_on(
    home: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, is_full = os.write, True

    def full(fd: int, data: bytes) -> int:
        if is_full and b"lost?" in bytes(data):
            raise OSError(28, "No space left on device")
        return real(fd, data)

    async with connect() as tools:
        thread_id = await tools.written("before")
        path = file_of(home, thread_id)
        content = path.read_bytes()
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(Refused, match="No space left") as refused:
            await tools("turn_start", thread_id=thread_id, input="lost?")
        assert refused.value.code == "write_failed"
        assert path.read_bytes() == content
        is_full = False
        started: Json = await tools("turn_start", thread_id=thread_id, input="lost?")
        assert started["turn"]["status"] == "inProgress"
