"""The server's standard input and output: pipes and sockets without threads, anything else with them."""

from __future__ import annotations

import errno
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.handlers.stdio import BoundedLines, LineTooLong, PipeReader, PipeWriter

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="pipes of Windows can't be waited for"),
]

HELLO: list[dict[str, Any]] = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


async def lines_of(fd: int, limit: int = 100) -> list[str]:
    return [line async for line in PipeReader(fd, limit)]


# ---------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"one\ntwo\n", ["one\n", "two\n"]),
        (b"one\n\ntwo", ["one\n", "\n", "two"]),
        (b"", []),
        ("\u00fcber \U0001f600\n".encode(), ["\u00fcber \U0001f600\n"]),
        (b"\xff{}\n", ["\ufffd{}\n"]),
    ],
)
async def test_lines_are_read_whole_and_a_last_one_may_lack_its_newline(
    pipe: tuple[int, int], sent: bytes, read: list[str]
) -> None:
    os.write(pipe[1], sent)
    os.close(pipe[1])
    assert await lines_of(pipe[0]) == read


async def test_a_line_is_whole_though_it_comes_byte_by_byte(pipe: tuple[int, int]) -> None:
    sent = "\u00fcber\nnext\n".encode()
    got: list[str] = []

    async def read() -> None:
        got.extend(await lines_of(pipe[0]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        for byte in sent:
            os.write(pipe[1], bytes([byte]))
            await anyio.wait_all_tasks_blocked()
        os.close(pipe[1])
    assert got == ["\u00fcber\n", "next\n"]


@pytest.mark.parametrize("sent", [b"123\n1234\n1\n", b"123\n12345"], ids=["a line", "what may become one"])
async def test_a_line_of_the_allowed_length_is_read_and_nothing_after_a_longer_one(
    pipe: tuple[int, int], sent: bytes
) -> None:
    os.write(pipe[1], sent)
    reader = PipeReader(pipe[0], limit=4)
    # The other end stays open: a line that is too long ends the input, whoever waits behind it.
    with anyio.fail_after(10):
        assert await anext(reader) == "123\n"
        with pytest.raises(LineTooLong) as told:
            await anext(reader)
        assert told.value.head.startswith("1234")
        assert [line async for line in reader] == []
    lines = BoundedLines(io.BufferedReader(io.BytesIO(sent)), limit=4)
    assert lines.readline() == "123\n"
    with pytest.raises(LineTooLong):
        lines.readline()
    assert lines.readline() == ""


async def test_a_socket_whose_other_end_is_gone_is_at_its_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"last\n")
        ours.send(b"never read")  # so the end comes as a reset
        theirs.close()
        assert await lines_of(ours.fileno()) in (["last\n"], [])


async def test_waiting_for_a_line_can_be_cancelled(pipe: tuple[int, int]) -> None:
    with anyio.move_on_after(0.01) as waiting:
        await lines_of(pipe[0])
    assert waiting.cancelled_caught


# ---------------------------------------------------------------------------------------------- writing


@asynccontextmanager
async def read_slowly(fd: int, into: bytearray) -> AsyncGenerator[None]:
    """Begins to read only once all others wait."""

    async def read() -> None:
        await anyio.wait_all_tasks_blocked()
        while data := await anyio.to_thread.run_sync(os.read, fd, 1_000):
            into.extend(data)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        yield


def refuse(*_: Any) -> int:
    raise OSError(errno.EOPNOTSUPP, "not here")


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("system", ["writes all there is room for", "can't", "can't with this"])
async def test_a_message_larger_than_the_pipe_holds_up_nobody_else(
    pipe: tuple[int, int], kind: str, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "can't":
        monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
    elif system == "can't with this":
        monkeypatch.setattr(os, "RWF_NOWAIT", 8, raising=False)
        monkeypatch.setattr(os, "pwritev", refuse, raising=False)
    message = "x" * 1_000_000 + "\u00fc\n"
    sockets = socket.socketpair()
    read, write = pipe if kind == "pipe" else (end.detach() for end in sockets)
    got = bytearray()
    went_on = anyio.Event()

    async def other() -> None:
        went_on.set()

    with anyio.fail_after(30):
        async with read_slowly(read, got), anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            # Nobody reads until this waits: if it blocked the loop, nothing would go on.
            await PipeWriter(write).write(message)
            assert went_on.is_set()
            os.close(write)
    assert got.decode() == message
    if kind == "socket":
        os.close(read)


async def test_a_reader_that_is_gone_is_an_error(pipe: tuple[int, int]) -> None:
    assert not PipeWriter(pipe[1]).has_no_reader()
    os.close(pipe[0])
    assert PipeWriter(pipe[1]).has_no_reader()
    with pytest.raises(BrokenPipeError):
        await PipeWriter(pipe[1]).write("x")


# ---------------------------------------------------------------------------------------------- a whole server


def answers(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def command(home: Path) -> list[str]:
    return [sys.executable, "-m", "mcp_server", "serve", "--home", str(home)]


def test_a_client_may_speak_over_sockets_as_node_does(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen(command(tmp_path), stdin=theirs.fileno(), stdout=theirs.fileno()) as child:
        theirs.close()
        with ours.makefile("rwb") as wire:
            wire.write(b"".join(json.dumps(message).encode() + b"\n" for message in HELLO))
            wire.flush()
            told = [json.loads(wire.readline()) for _ in range(2)]
            ours.shutdown(socket.SHUT_WR)
            assert wire.read() == b""
        assert child.wait(30) == 0
    assert {answer["id"] for answer in told} == {1, 2}
    assert len(next(answer for answer in told if answer["id"] == 2)["result"]["tools"]) == 25


def test_files_may_stand_for_both_streams(tmp_path: Path) -> None:
    asked, told = tmp_path / "asked", tmp_path / "told"
    asked.write_text("".join(json.dumps(message) + "\n" for message in HELLO[:1]))
    with asked.open("rb") as stdin, told.open("wb") as stdout:
        done = subprocess.run(command(tmp_path / "home"), stdin=stdin, stdout=stdout, timeout=60, check=False)
    assert done.returncode == 0
    assert [answer["id"] for answer in answers(told.read_bytes())] == [1]
