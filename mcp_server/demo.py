"""`threadstore demo`: drives a real server over stdio with a real MCP client, and checks each answer."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import TextContent
from rich.console import Console
from rich.text import Text

from mcp_server.handlers.errors import failure_code

Answer = dict[str, Any]

_WIDTH = 100
_LIFE = ["thread/started", "turn/started", "turn/completed", "thread/archived", "thread/unarchived", "thread/closed"]


class DemoFailure(Exception):
    """A step did not do what it says."""


class Stage:
    """Calls tools, shows and counts the calls. It may write to stdout, since this process is no MCP server."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client, self._console = client, console
        self.calls = 0

    def say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)

    def title(self, text: str) -> None:
        self.say(f"\n{text}", "bold")

    async def call(self, tool: str, *, expected_error: str | None = None, lines: int = 99, **arguments: Any) -> Answer:
        """Call a tool and show the answer's first `lines`; with 0 not even the call is shown.

        Raises:
            DemoFailure: it did not answer with the code `expected_error`, or with success where that is None.
        """
        self.calls += 1
        result = await self._client.call_tool(tool, arguments)
        answer: Answer = dict(result.structured_content or {})
        text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
        code = failure_code(result)
        if code != expected_error:
            raise DemoFailure(f"{tool} answered {code or 'success'} instead of {expected_error or 'success'}: {text}")
        if lines:
            self.say(_short(f"> {tool} {json.dumps(arguments, ensure_ascii=False)}"), "cyan")
            self.say(_indented(text, lines), "red" if result.is_error else "")
        return answer


def run_demo(home: Path | None) -> int:
    """Run all steps in the given home, else in a temporary one. Returns the exit code: 0 only if every check held."""
    # Some terminals' encodings lack the characters that the tree is drawn with.
    cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    console = Console(width=_WIDTH, highlight=False)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="threadstore-demo-") as scratch:
        chosen, log = home or Path(scratch) / "home", Path(scratch) / "log"
        calls, code = 0, 1
        try:
            with log.open("w", encoding="utf-8") as said:
                calls = anyio.run(_play, chosen, console, said)
        except* (KeyboardInterrupt, SystemExit):  # Ctrl+C, or the reader of stdout is gone
            code = 130
        except* Exception as failures:
            sentences = [f"The demo failed: {str(failure) or repr(failure)}" for failure in _leaves(failures)]
            console.print(Text("\n".join(sentences), style="bold red"), soft_wrap=True)
            if said_by_server := log.read_text(encoding="utf-8", errors="replace"):
                console.print(Text(f"The server said:\n{said_by_server}"), soft_wrap=True)
        if not calls:
            return code
    seconds = time.monotonic() - started
    end = "removed again" if home is None else "kept"
    summary = f"{calls} tool calls in {seconds:.1f} s, every answer as it should be. Home, {end}: {chosen}"
    console.print(Text(f"\n{summary}", style="green"), soft_wrap=True)
    return 0


async def _play(home: Path, console: Console, log: TextIO) -> int:
    server = StdioServerParameters(command=sys.executable, args=["-m", "mcp_server", "serve", "--home", str(home)])
    async with Client(stdio_client(server, errlog=log)) as client:
        stage = Stage(client, console)
        stage.say(f"Connected to threadstore over stdio, protocol {client.protocol_version}.")
        root = await _start(stage)
        await _record(stage, root)
        tree = await _spawn(stage, root)
        await _find(stage, root)
        await _fork(stage, root)
        receipt = await _archive(stage, root, tree)
        await _leave(stage, root)
        await _events(stage, root, receipt)
        return stage.calls


async def _start(stage: Stage) -> str:
    stage.title("A fresh thread lives in memory")
    settings = {"cwd": "/work/shop", "name": "auth race", "model": "gpt-5"}
    started = await stage.call("thread_start", lines=1, **settings, response_format="detailed")
    thread = started["thread"]
    _check(
        not await anyio.Path(thread["path"]).exists(), "the file of the thread is not there before the first message"
    )
    listed = await stage.call("thread_list")
    _check(listed["total"] == 0, "a thread without a message is not listed")
    return str(thread["id"])


async def _record(stage: Stage, root: str) -> None:
    stage.title("The first message writes it; a turn takes what the agent does")
    await stage.call("turn_start", thread_id=root, input="Logins fail when two tabs refresh the token. Find the race.")
    items = [
        {"type": "reasoning", "text": "Two refreshes, one token: who wins?"},
        {"type": "toolCall", "call_id": "call-1", "name": "grep", "arguments": {"pattern": "refresh_token"}},
        {"type": "toolOutput", "call_id": "call-1", "output": "auth/session.py:88", "success": True},
    ]
    await stage.call("turn_append", thread_id=root, items=items)
    said = "The refresh in session.py:88 takes no lock."
    done = await stage.call("turn_complete", lines=1, thread_id=root, message=said)
    _check(done["turn"]["status"] == "completed", "the turn is completed")
    listed = await stage.call("thread_list", lines=0)
    _check([thread["id"] for thread in listed["data"]] == [root], "a thread with a message is listed")


async def _spawn(stage: Stage, root: str) -> list[str]:
    stage.title("Two levels of sub-agents, and the tree")
    tree: list[str] = []
    for nickname, parent, task in (
        ("Ada", root, "Write a test that shows the race"),
        ("Bob", root, "Review session.py for other races"),
        ("Cleo", "", "Run the new test a thousand times"),
    ):
        started = await stage.call(
            "thread_start", lines=1, parent_thread_id=parent or tree[0], agent_nickname=nickname, agent_role="worker"
        )
        child = str(started["thread"]["id"])
        await stage.call("turn_start", lines=0, thread_id=child, input=task)
        await stage.call("turn_complete", lines=0, thread_id=child, message="Done.")
        tree.append(child)
    shown = await stage.call("thread_tree", thread_id=root)
    levels = {node["thread_id"]: node["depth"] for node in shown["nodes"]}
    _check(levels == {root: 0, tree[0]: 1, tree[1]: 1, tree[2]: 2}, "the tree has two levels")
    return tree


async def _find(stage: Stage, root: str) -> None:
    stage.title("Find it again: by name, by what was said, by reading")
    found = await stage.call("thread_list", search_term="auth")
    _check([thread["id"] for thread in found["data"]] == [root], "the name is found")
    hits = await stage.call("thread_search", search_term="takes no lock")
    _check(hits["data"][0]["thread"]["id"] == root, "what was said is found")
    read = await stage.call("thread_read", thread_id="auth race", include_turns=True, items_view="full")
    kinds = [item["type"] for item in read["turns"][0]["items"]]
    _check(kinds == ["userMessage", "reasoning", "dynamicToolCall", "agentMessage"], "every item is read back")


async def _fork(stage: Stage, root: str) -> None:
    stage.title("Fork it to try another way")
    forked = await stage.call("thread_fork", lines=1, thread_id=root)
    _check(forked["thread"]["forked_from_id"] == root, "the fork knows where it comes from")
    source, copy = [
        await stage.call("thread_read", lines=0, thread_id=thread_id, include_turns=True, items_view="full")
        for thread_id in (root, forked["thread"]["id"])
    ]
    _check(source["turns"] == copy["turns"], "the fork has the whole history")


async def _archive(stage: Stage, root: str, tree: list[str]) -> list[str]:
    stage.title("Archive the whole tree, with a receipt; an agent can't archive what it runs under")
    await stage.call("thread_archive", thread_id=root, caller_thread_id=tree[2], expected_error="would_archive_self")
    receipt = await stage.call("thread_archive", thread_id=root)
    first, second = sorted(tree[:2])
    _check(receipt["archived"] == [root, tree[2], second, first], "root first, then the deepest")
    _check("failed" not in receipt, "nothing failed")
    gone = await stage.call("thread_list", lines=0, archived=True)
    _check([thread["id"] for thread in gone["data"]] == [root], "the thread is listed as archived")
    back = await stage.call("thread_unarchive", lines=1, thread_id=root)
    _check(len(back["unarchived"]) == len({root, *tree}), "what was archived together comes back together")
    return list(receipt["archived"])


async def _leave(stage: Stage, root: str) -> None:
    stage.title("Resume, and leave: the last one out closes the thread")
    resumed = await stage.call("thread_resume", lines=2, thread_id=root, turns=0)
    left = await stage.call("thread_unsubscribe", subscription_id=resumed["subscription_id"])
    _check(left["status"] == "unsubscribed", "the subscription ends")
    loaded = await stage.call("thread_loaded_list", lines=0)
    _check(root not in loaded.get("data", []), "and the thread is not loaded any more")


async def _events(stage: Stage, root: str, archived: list[str]) -> None:
    stage.title("All of it is in the durable log")
    log = await stage.call("events_read", thread_id=root, types=_LIFE)
    _check([event["type"] for event in log["data"]] == _LIFE, "the log tells a thread's life in order")
    numbers = [event["seq"] for event in log["data"]]
    _check(numbers == sorted(set(numbers)), "and numbered in order")
    cascade = await stage.call("events_read", lines=0, types=["thread/archived"])
    _check([event["thread_id"] for event in cascade["data"]] == archived, "a cascade's events follow its receipt")


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise DemoFailure(f"it does not hold that {what}")


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _indented(text: str, lines: int) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[:lines])
