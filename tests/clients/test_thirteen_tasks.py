"""What agents are asked to do with threads takes few calls and few tokens, and each answer has what the task needs.

Real agents carry out the calls of a scripted model, which uses nothing but what it was sent.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from mcp import Client

from mcp_server.config import Config
from mcp_server.server import build_server
from tests.clients.tasks import home as stories
from tests.clients.tasks.driving import AGENTS, by_task, cost_of, drive, made_home
from tests.clients.tasks.home import TasksHome
from tests.clients.tasks.scripts import TASKS
from tests.servers import structure

MOST_CALLS, MOST_TOKENS = 45, 25_000
MOST_CHARS = 40_000
"""Of one answer: agents cut longer ones."""
ASK_A_PERSON = ("Claude Code", "Codex", "Codex in code mode")
"""Agents that can show a question, and in a run without a screen answer it with no."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> TasksHome:
    return made_home(tmp_path_factory.mktemp("tasks") / "home")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in AGENTS])
def test_thirteen_tasks_take_few_calls_and_tokens_and_are_done(name: str, stored: TasksHome, tmp_path: Path) -> None:
    AGENTS[name].program()  # skips where it is absent
    seen, path = drive(AGENTS[name], stored, tmp_path)
    exchanges = by_task(seen)
    for task in TASKS:
        sent = "\n".join(one.got.text for one in exchanges[task.asked])
        missing = [fact for fact in task.needs if fact not in sent]
        assert sent, f"{task.asked}: not done; {seen.printed[-2000:]}"
        assert not missing, f"{task.asked}: a model was not sent {missing}, but {sent}"
    refused = [one.call.tool for one in seen.exchanges if one.got.is_error or "(code: " in one.got.text]
    assert refused == (["thread_delete"] if name in ASK_A_PERSON else [])
    cost = cost_of(seen.exchanges)
    assert cost.calls + cost.look_ups <= MOST_CALLS
    assert cost.tokens + cost.look_up_tokens <= MOST_TOKENS
    assert max(len(one.got.text) for one in seen.exchanges) <= MOST_CHARS
    with _tools(path) as call:
        _check_what_was_done(call, stored, put_away=stored.test_threads if name in ASK_A_PERSON else [])


@contextmanager
def _tools(path: Path) -> Generator[Any]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(build_server(Config.load(path)))) as client,
    ):

        def call(tool: str, **arguments: Any) -> dict[str, Any]:
            return portal.call(partial(structure, client, tool, **arguments))

        yield call


def _check_what_was_done(call: Any, stored: TasksHome, put_away: list[str]) -> None:
    """The home as the tasks must leave it. `put_away` are threads that nobody allowed to delete."""

    def listed(**where: Any) -> list[str]:
        return [row["id"] for row in call("thread_list", limit=100, **where)["data"]]

    archives = [event["thread_id"] for event in call("events_read", types=["thread/archived"], limit=100)["data"]]
    assert sorted(archives) == sorted([*stored.old_unnamed, *put_away])
    legacy = [*stored.old_named, *stored.old_unnamed, *stored.recent]
    assert sorted(listed(cwd=stories.LEGACY)) == sorted(legacy)  # the archive was undone
    assert listed(cwd=stories.LEGACY, archived=True) == []
    assert listed(cwd=stories.SCRATCH) == []
    assert sorted(listed(cwd=stories.SCRATCH, archived=True)) == sorted(put_away)
    carried_on = call("thread_read", thread_id="Payment retries", limit=1)
    assert carried_on["turns"][0]["status"] == "completed"
    assert carried_on["total"] == len(stories.RETRIES) + 1
    (fork,) = call("thread_tree", thread_id="Rate limiter")["forks"]
    copied = [entry["text"] for entry in call("thread_outline", thread_id=fork["thread_id"])["data"]]
    assert copied == [turn.asked for turn in stories.LIMITER[:2]]
    recorded = call("thread_read", thread_id="Load test", items_view="full")
    (turn,) = recorded["turns"]
    assert [item["type"] for item in turn["items"]] == ["userMessage", "dynamicToolCall", "agentMessage"]
    assert recorded["thread"]["cwd"] == stories.METRICS
