"""The tasks through a real agent: what its model was sent for each, and the home afterwards."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client

from mcp_server.config import Config
from mcp_server.maintenance import run_reindex
from mcp_server.server import build_server
from tests.clients import installed
from tests.clients.agents import CLAUDE_CODE, GEMINI_CLI, OPENCODE, Agent, Exchange, Seen, ToolCall, codex, run
from tests.clients.tasks.home import WAITED_FOR, WAITING_TASK, TasksHome, make_home
from tests.clients.tasks.scripts import TASKS, all_tasks
from tests.servers import structure

CHARS_PER_TOKEN = 4
_NEWEST_CODEX = partial(installed.codex, -1)
AGENTS: dict[str, Agent] = {
    "Claude Code": CLAUDE_CODE,
    "Codex": codex(_NEWEST_CODEX, in_code=False),
    "Codex in code mode": codex(_NEWEST_CODEX, in_code=True),
    "Gemini CLI": GEMINI_CLI,
    "opencode": OPENCODE,
}


@dataclass(frozen=True)
class Cost:
    """What a model spends on a task: calls, and tokens of their answers. `look_ups` are calls of the agent's own that
    find tools, with their tokens."""

    calls: int
    tokens: int
    look_ups: int
    look_up_tokens: int


def cost_of(exchanges: list[Exchange]) -> Cost:
    found = [got for exchange in exchanges for got in exchange.look_ups]
    return Cost(
        len(exchanges),
        sum(len(exchange.got.text) for exchange in exchanges) // CHARS_PER_TOKEN,
        len(found),
        sum(len(got.text) for got in found) // CHARS_PER_TOKEN,
    )


def by_task(seen: Seen) -> dict[str, list[Exchange]]:
    return {task.asked: [one for one in seen.exchanges if one.call.task == task.asked] for task in TASKS}


def made_home(path: Path) -> TasksHome:
    home = make_home(path)
    assert run_reindex(Config.load(path)) == 0
    return home


def drive(agent: Agent, home: TasksHome, folder: Path) -> tuple[Seen, Path]:
    """Do all tasks in a copy of the home, which is returned."""
    copy = folder / "threads"
    shutil.copytree(home.path, copy)
    with _sub_agent_at_work(copy, home.ids["Dora"]) as end:

        def before(call: ToolCall) -> None:
            if call.tool == "events_read":
                end()

        return run(agent, partial(all_tasks, before), copy, folder / "agent"), copy


@contextmanager
def _sub_agent_at_work(path: Path, thread_id: str) -> Generator[Any]:
    """A turn of a sub-agent that runs in this process. Yields what ends it, the first time that it is called."""
    ended = threading.Lock()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(build_server(Config.load(path)))) as client,
    ):
        _call(portal, client, "thread_resume", thread_id=thread_id)
        _call(portal, client, "turn_start", thread_id=thread_id, input=WAITING_TASK)

        def end() -> None:
            if ended.acquire(blocking=False):
                ending = partial(structure, client, "turn_complete", thread_id=thread_id, message=WAITED_FOR)
                portal.start_task_soon(ending)

        yield end


def _call(portal: BlockingPortal, client: Client, tool: str, **arguments: Any) -> Any:
    return portal.call(partial(structure, client, tool, **arguments))
