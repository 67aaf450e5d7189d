"""One home, our server in memory, a client of either protocol era."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult

from mcp_server.config import Config
from mcp_server.handlers.errors import failure_code
from mcp_server.models.times import CLOCKS
from mcp_server.server import build_server
from mcp_server.threads.search.bounds import SearchBounds
from tests.answers import check_faces, takes_format, whole

Json = dict[str, Any]
Era = Literal["auto", "legacy"]


class Refused(Exception):
    """A tool error, with its code and its sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code, self.sentence = code, sentence
        super().__init__(f"{code}: {sentence}")


def refusal(result: CallToolResult) -> Refused:
    """What a tool error says; its code is "none" if it is not one of ours."""
    assert result.structured_content is None
    text = " ".join(getattr(part, "text", "") for part in result.content)
    return Refused(failure_code(result) or "none", text)


@dataclass
class Tools:
    """A client's tools as calls that answer with the structure, or raise Refused.

    Answers are detailed where the tool has such, and have their defaults again."""

    client: Client

    async def __call__(self, tool: str, *, meta: Json | None = None, **arguments: Any) -> Json:
        form = "detailed" if takes_format(tool) else "concise"
        if form == "detailed":
            form = arguments.setdefault("response_format", form) or "concise"
        result = await self.client.call_tool(tool, arguments, meta=meta)  # type: ignore[arg-type]
        if result.is_error:
            raise refusal(result)
        return whole(tool, check_faces(tool, result, form))

    async def start(self, **arguments: Any) -> str:
        return str((await self("thread_start", **arguments))["thread"]["id"])

    async def written(self, message: str = "hello", **arguments: Any) -> str:
        """A thread with one complete turn."""
        thread_id = await self.start(**arguments)
        await self("turn_start", thread_id=thread_id, input=message)
        await self("turn_complete", thread_id=thread_id, message="done")
        return thread_id

    async def go_on(self, thread_id: str, message: str, answer: str = "done") -> None:
        """One more turn of a stored thread, which is let go again."""
        await self("thread_resume", thread_id=thread_id)
        await self("turn_start", thread_id=thread_id, input=message)
        await self("turn_complete", thread_id=thread_id, message=answer)
        await self("thread_unsubscribe", thread_id=thread_id)

    async def loaded(self) -> list[str]:
        return list((await self("thread_loaded_list"))["data"])

    async def listed(self, **arguments: Any) -> list[str]:
        return [thread["id"] for thread in (await self("thread_list", **arguments))["data"]]

    async def events(self, thread_id: str | None = None, **arguments: Any) -> list[str]:
        answer = await self("events_read", thread_id=thread_id, limit=100, **arguments)
        return [event["type"] for event in answer["data"]]

    async def until(self, true: Callable[[], Awaitable[bool]], seconds: int = 30) -> None:
        """Wait for what an event tells of: look again after each one that the log gets.

        Raises:
            TimeoutError: it does not come true.
        """
        seen = 0
        with anyio.fail_after(seconds):
            while not await true():
                seen = (await self("events_read", after=seen, limit=100, wait_seconds=seconds))["last_seq"]


Connect = Callable[..., AbstractAsyncContextManager[Tools]]


@pytest.fixture
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


PATIENT = SearchBounds(seconds=60, reading_seconds=60)
"""A search leaves nothing out because the machine is busy; that it may is tested where it is made to."""


def connect_to(home: Path, era: Era) -> Connect:
    """What makes a new server on the home with a client of its own, as another process would be. It takes changes of
    the server's config, and its clocks."""

    @asynccontextmanager
    async def connected(*, state: bool = True, **changes: Any) -> AsyncGenerator[Tools]:
        options = {name: changes.pop(name) for name in ("elicitation_callback",) if name in changes}
        clocks = changes.pop("clocks", CLOCKS)
        config = replace(Config.load(home, state=state), **{"watch": False, "searching": PATIENT, **changes})
        async with Client(build_server(config, clocks), mode=era, **options) as client:
            yield Tools(client)

    return connected


@pytest.fixture
def connect(home: Path, era: Era) -> Connect:
    return connect_to(home, era)


@pytest.fixture
async def tools(connect: Connect) -> AsyncIterator[Tools]:
    async with connect() as connected:
        yield connected


@pytest.fixture
async def two(home: Path, era: Era) -> AsyncIterator[tuple[Tools, Tools]]:
    """Two clients of one server."""
    server = build_server(replace(Config.load(home), watch=False))
    async with Client(server, mode=era) as one, Client(server, mode=era) as other:
        yield Tools(one), Tools(other)


def rollouts(home: Path) -> list[Path]:
    return sorted(home.rglob("rollout-*.jsonl"))


def lock_files(home: Path) -> list[str]:
    folder = home / "thread-writer-locks"
    return sorted(path.name for path in folder.glob("*.lock") if path.name != ".coordination.lock")


@dataclass
class Tree:
    """root -> (left -> leaf, right), each with a finished turn, none loaded."""

    root: str
    left: str
    right: str
    leaf: str

    def all(self) -> list[str]:
        return [self.root, self.left, self.right, self.leaf]


async def grow(tools: Tools) -> Tree:
    root = await tools.written("root", name="the root")
    left = await tools.written("left", parent_thread_id=root, agent_nickname="Left")
    right = await tools.written("right", parent_thread_id=root, agent_nickname="Right")
    leaf = await tools.written("leaf", parent_thread_id=left, agent_nickname="Leaf")
    for thread_id in (root, left, right, leaf):
        await tools("thread_unsubscribe", thread_id=thread_id)
    return Tree(root, left, right, leaf)
