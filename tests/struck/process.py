"""A process that is struck, and one that looks at what it left: forked from a warm parent, which costs no start."""

from __future__ import annotations

import functools
import gc
import json
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp import Client

from mcp_server.config import Config
from mcp_server.server import HomeServer, build_server
from tests.mission.conftest import Json, Refused, Tools
from tests.struck.points import Disk, Kind, Points, real_write
from tests.struck.verbs import Story, Verb

Say = Callable[[str, object], None]


class WithRequestId(Tools):
    """Calls that carry a request id, always the same, as those of a client that repeats one call."""

    tool = ""
    """The last one that was called."""

    async def __call__(self, tool: str, *, meta: Json | None = None, **arguments: Any) -> Json:
        self.tool = tool
        return await super().__call__(tool, meta=meta, request_id="once", **arguments)


@dataclass(frozen=True)
class End:
    """How a forked process ended, and what it had said by then: the last value of each kind."""

    how: Literal["killed", "ended"]
    said: dict[str, object]

    @property
    def story(self) -> Story:
        """What its client was told by the end."""
        return self._story("story")

    @property
    def before(self) -> Story:
        """What its client was told before the call in which it was struck."""
        return self._story("before")

    @property
    def at(self) -> str:
        """The point at which it was struck."""
        return str(self.said.get("at", "the end"))

    def _story(self, kind: str) -> Story:
        story = self.said[kind]
        assert isinstance(story, dict)
        return Story(**story)  # pyright: ignore[reportUnknownArgumentType]


@functools.cache
def warm() -> None:
    """Serve once, so that every child inherits what a first call loads and builds: half a second each."""

    async def use() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with Client(_server(Path(folder))) as client:
                await Tools(client).written()

    anyio.run(use)
    gc.disable()
    gc.freeze()  # what a collection touches, a child has to copy


@functools.cache
def _server(home: Path) -> HomeServer:
    """Built once for each home, and run in children alone."""
    return build_server(replace(Config.load(home), watch=False))


def forked(
    home: Path, work: Callable[[Tools, Say], Awaitable[None]], prepare: Callable[[Say], None] = lambda _: None
) -> End:
    """Run a server with its client on the home, in a child, which may be prepared. What goes wrong is raised here.

    No loop and no thread runs in the parent, so the child inherits none that is missing a part.
    """
    warm()
    server = _server(home)
    assert threading.active_count() == 1
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os._exit(_run(server, work, prepare, writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    said: dict[str, object] = {}
    for line in lines:
        said |= json.loads(line)
    if "failure" in said:
        raise AssertionError(said["failure"])
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.WEXITSTATUS(status) == 0, f"the process ended with {status}"
    return End("killed" if killed else "ended", said)


def _run(
    server: HomeServer, work: Callable[[Tools, Say], Awaitable[None]], prepare: Callable[[Say], None], fd: int
) -> int:
    def say(kind: str, value: object) -> None:
        real_write(fd, json.dumps({kind: value}).encode() + b"\n")

    async def serve() -> None:
        async with Client(server) as client:
            await work(Tools(client), say)

    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        prepare(say)
        anyio.run(serve)
    except BaseException:
        say("failure", traceback.format_exc())
        return 1
    return 0


def planted(home: Path, verb: Verb) -> Story:
    """A home with what the verb wants, left in order."""

    async def work(tools: Tools, say: Say) -> None:
        story = Story()
        await tools.listed()
        for step in verb.plant:
            await step(tools, story)
        say("story", asdict(story))

    return forked(home, work).story


def killed(home: Path, verb: Verb, story: Story, number: int) -> End:
    """The verb with a request id, killed at the n-th point; killed too once it was answered, so what is acknowledged
    must be on disk."""
    points = Points(home)

    def prepare(say: Say) -> None:
        def strike(reached: int, kind: Kind, name: str) -> None:
            if reached == number:
                say("at", name)
                os.kill(os.getpid(), signal.SIGKILL)

        points.install(strike)
        say("story", asdict(story))
        points.armed = verb.from_the_start

    async def work(tools: Tools, say: Say) -> None:
        if not verb.from_the_start:
            await tools.listed()  # once the index is open
        for step in verb.ready:
            await step(tools, story)
        say("before", asdict(story))
        say("story", asdict(story))
        points.armed = True
        await verb.call(tools if verb.from_the_start else WithRequestId(tools.client), story)
        points.armed = False
        story.acknowledged = True
        say("story", asdict(story))
        say("statements", points.statements)
        say("calls", points.calls)
        os.kill(os.getpid(), signal.SIGKILL)

    return forked(home, work, prepare)


def failing(home: Path, verb: Verb, story: Story, number: int, error: str) -> End:
    """The verb on a disk that fails from the n-th step on; then, mended, once more if it was refused."""
    points, disk = Points(home), Disk(number, error)

    def prepare(_: Say) -> None:
        points.install(disk.strike)
        points.armed = verb.from_the_start

    async def work(tools: Tools, say: Say) -> None:
        if not verb.from_the_start:
            await tools.listed()  # once the index is open
        for step in verb.ready:
            await step(tools, story)
        points.armed = True
        before = asdict(story)
        refused = False
        try:
            await verb.call(tools, story)
        except Refused as refusal:
            refused = True
            say("refusal", [refusal.code, refusal.sentence])
        disk.mended = True
        points.armed = False
        say("failed", disk.failed)
        if refused:
            story.__dict__.update(before)
            await verb.call(tools, story)
        story.acknowledged = True
        say("story", asdict(story))

    return forked(home, work, prepare)


def seen(home: Path, look: Callable[[Tools], Awaitable[str]]) -> str:
    """What a fresh server shows."""

    async def work(tools: Tools, say: Say) -> None:
        say("seen", await look(tools))

    return str(forked(home, work).said["seen"])
