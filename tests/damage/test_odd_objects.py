"""Whatever lies in the place of a file (a pipe, a socket, a folder, a link to nowhere) ends nothing and holds nothing
up: the healthy threads are served, what is odd is told, and the commands for people work too."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from mcp_server.codex.name_index import name_line
from tests.mission.conftest import Connect, Era, Json, Refused, rollouts
from tests.mission.conftest import connect as connect
from tests.mission.conftest import home as home

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders"),
]

THREAD = "01a20564-0000-7000-8000-000000000009"
NAME = f"rollout-2026-11-22T10-00-00-{THREAD}.jsonl"
BESIDE = ("session_index.jsonl", "config.toml", "state_5.sqlite")
_SECONDS = 60


def socket_at(path: Path) -> None:
    # The path of a socket has room for some 100 characters.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


OBJECTS: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": socket_at,
    "a link to itself": lambda path: path.symlink_to(path),
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture
def era() -> Era:
    """The protocol makes no difference to the files."""
    return "auto"


@pytest.fixture(params=OBJECTS)
def put(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Puts something that is no file at a path."""
    make = OBJECTS[request.param]

    def put(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)

    return put


async def planted(connect: Connect) -> str:
    async with connect() as tools:
        return await tools.written("healthy", name="the healthy one")


def run(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mcp_server", command, "--home", str(home)]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("name", BESIDE)
async def test_no_object_in_the_place_of_a_file_that_is_read_beside_the_rollouts_does_harm(
    home: Path, connect: Connect, put: Callable[[Path], None], name: str
) -> None:
    healthy = await planted(connect)
    (home / name).unlink(missing_ok=True)
    put(home / name)
    with anyio.fail_after(_SECONDS):
        async with connect() as tools:
            assert await tools.listed() == [healthy]
            # the names that are known already stay
            assert (await tools("thread_read", thread_id=healthy))["thread"]["name"] == "the healthy one"
            status = await tools("store_status", deep=True)
            assert [(bad["path"], bad["reason"]) for bad in status["malformed"]] == [(name, "is no regular file")]
            other = await tools.written("and on")
            if name == "session_index.jsonl":
                with pytest.raises(Refused, match="session_index") as refused:
                    await tools("thread_update", thread_id=other, name="refused")
                assert refused.value.code == "write_failed"
            (row,) = (await tools("thread_search", search_term="healthy"))["data"]
            assert row["thread"]["id"] == healthy
        async with connect(state=False) as tools:
            assert set(await tools.listed()) == {healthy, other}


@pytest.mark.parametrize("place", [f"sessions/2026/11/22/{NAME}", f"archived_sessions/{NAME}", f"sessions/{NAME}.zst"])
async def test_no_object_that_is_called_a_rollout_does_harm(
    home: Path, connect: Connect, put: Callable[[Path], None], place: str
) -> None:
    healthy = await planted(connect)
    put(home / place)
    with anyio.fail_after(_SECONDS):
        for state in (True, False):
            async with connect(state=state) as tools:
                assert await tools.listed() == [healthy]
                assert await tools.listed(archived=True) == []
                with pytest.raises(Refused) as refused:
                    await tools("thread_read", thread_id=THREAD, include_turns=True)
                assert refused.value.code == "thread_not_found"
                assert "Errno" not in str(refused.value)


@pytest.mark.parametrize("place", ["sessions/2027", "sessions/2026/12", "archived_sessions/deeper"])
async def test_no_object_in_the_place_of_a_folder_does_harm(
    home: Path, connect: Connect, put: Callable[[Path], None], place: str
) -> None:
    healthy = await planted(connect)
    put(home / place)
    with anyio.fail_after(_SECONDS):
        async with connect() as tools:
            assert await tools.listed() == [healthy]
            await tools("thread_archive", thread_id=healthy)
            assert await tools.listed(archived=True) == [healthy]


@pytest.mark.parametrize("top", ["sessions", "archived_sessions"])
async def test_a_file_in_the_place_of_a_whole_folder_is_reported(home: Path, connect: Connect, top: str) -> None:
    healthy = await planted(connect)
    kept = home / "sessions"
    if top == "sessions":
        kept = kept.rename(home / "elsewhere")
    (home / top).write_text("not a folder")
    async with connect() as tools:
        assert await tools.listed() == ([] if top == "sessions" else [healthy])
        status = await tools("store_status")
        assert [(bad["path"], "can't be looked into" in bad["reason"]) for bad in status["malformed"]] == [(top, True)]


@pytest.mark.parametrize("command", ["doctor", "reindex"])
async def test_the_commands_work_beside_pipes_of_every_name(home: Path, connect: Connect, command: str) -> None:
    await planted(connect)
    places = (*BESIDE, f"sessions/2026/{NAME}")
    for name in places:
        (home / name).unlink(missing_ok=True)
        os.mkfifo(home / name)
    done = await anyio.to_thread.run_sync(run, command, home)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    if command == "doctor":
        assert all(
            f"{name} at byte 0: is no regular file" in done.stdout for name in (*BESIDE, f"sessions/2026/{NAME}")
        )


async def test_folders_beyond_the_longest_path_are_reported_and_cost_no_thread(home: Path, connect: Connect) -> None:
    healthy = await planted(connect)
    here = os.open(home / "sessions", os.O_RDONLY)
    for _ in range(30):  # only step by step can they be made
        os.mkdir("d" * 200, dir_fd=here)
        deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    for keep_index in (True, False):
        if not keep_index:
            (home / "threadstore.sqlite").unlink()
        async with connect() as tools:
            assert await tools.listed() == [healthy]
            status = await tools("store_status", deep=True)
            (told,) = status["malformed"]
            assert "can't be looked into" in told["reason"]
    done = await anyio.to_thread.run_sync(run, "doctor", home)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


async def test_names_that_can_not_be_read_leave_those_that_are_known(home: Path, connect: Connect) -> None:
    healthy = await planted(connect)
    index = home / "session_index.jsonl"
    before = index.read_bytes()
    index.write_bytes(before + name_line(healthy, "renamed", 0))
    async with connect() as tools:
        assert (await tools("thread_read", thread_id=healthy))["thread"]["name"] == "renamed"
        index.unlink()
        index.mkdir()
        assert (await tools("thread_read", thread_id=healthy))["thread"]["name"] == "renamed"
    async with connect() as tools:
        (listed,) = (await tools("thread_list"))["data"]
        assert listed["name"] == "renamed"
        index.rmdir()
        index.write_bytes(before)
    async with connect() as tools:
        (back,) = (await tools("thread_list"))["data"]
        assert back["name"] == "the healthy one"


async def test_a_state_db_that_is_no_file_leaves_the_files_to_serve(
    home: Path, connect: Connect, put: Callable[[Path], None]
) -> None:
    healthy = await planted(connect)
    for path in home.glob("threadstore.sqlite*"):
        path.unlink()
    put(home / "threadstore.sqlite")
    with anyio.fail_after(_SECONDS):
        async with connect() as tools:
            assert await tools.listed() == [healthy]
            status: Json = await tools("store_status")
            assert status["counts"]["files_active"] == 1
            await tools.written("and on")
            assert len(rollouts(home)) == 2
