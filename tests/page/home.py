"""A home with threads of each kind that the page shows, written by the server itself and by hand as Codex would."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp_server.codex.lines import RolloutLine
from tests.mission.searches import put
from tests.test_cli import Raw
from tests.threads.rollout_lines import agent, call, ended, event, output, response, started, user

WORK = "01a20581-0000-7000-8000-0000000000aa"
WORK_NAME = "Find out why the search is slow"
LONG_LINES = 2_000
_NOON = 1_795_348_800  # of the day in the names of the rollouts

ANSWER = """The search was slow, since **each word** was looked up twice.

| step | before | after |
|---|--:|--:|
| look up | 840 ms | 12 ms |

```python
def search(words: list[str]) -> list[int]:
    # one look-up for all of them
    return index.lookup(set(words))
```

1. Run the tests
2. Read [the manual](https://example.org/manual)
"""


def picture(red: int, green: int, blue: int, side: int = 48) -> str:
    """A square of one colour, as the data URL that a client sends."""
    rows = b"".join(b"\0" + bytes((red, green, blue)) * side for _ in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return f"data:image/png;base64,{b64encode(png).decode()}"


def tokens(total: int, window: int) -> RolloutLine:
    used = {"input_tokens": total, "cached_input_tokens": total // 2, "output_tokens": total // 10}
    last = {"last_token_usage": {"total_tokens": window}, "model_context_window": 200_000}
    return event("token_count", info={"total_token_usage": used, **last})


def command(call_id: str, words: list[str], out: str, code: int = 0) -> list[RolloutLine]:
    return [
        response("local_shell_call", call_id=call_id, status="completed", action={"command": words}),
        output(call_id, {"content": out, "success": code == 0}),
    ]


def work_of_codex() -> list[RolloutLine]:
    """A long thread: commands with long outputs and failures, a picture, reasoning, a compaction and tokens."""
    long = "\n".join(f"line {number} of the log" for number in range(1, LONG_LINES + 1))
    return [
        started("t1", started_at=_NOON),
        user("Why is the search slow? See the picture.", images=[picture(200, 60, 60)]),
        event("agent_reasoning", text="I should measure first."),
        *command("c1", ["cat", "search.log"], long),
        agent("I have read the log. Now I measure."),
        tokens(40_000, 40_000),
        ended("t1", completed_at=_NOON + 40, duration_ms=40_000),
        started("t2", started_at=_NOON + 600),
        user("Then mend it."),
        event("context_compacted"),
        call("c2", '{"cmd": "python -m pytest -q"}'),
        output("c2", "FAILED tests/test_search.py::test_speed - assert 840 < 100"),
        agent(ANSWER),
        tokens(90_000, 61_000),
        ended("t2", completed_at=_NOON + 690, duration_ms=90_000),
    ]


class Writer:
    """A server process of its own, which writes to the home beside the one that the page speaks to."""

    def __init__(self, home: Path) -> None:
        self._raw = Raw("--home", str(home))

    def call(self, tool: str, **arguments: Any) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._raw.call(tool, **arguments)
        return answer

    def start(self, **arguments: Any) -> str:
        return str(self.call("thread_start", **arguments)["thread"]["id"])

    def written(self, message: str, answer: str = "Done.", status: str = "completed", **arguments: Any) -> str:
        """A thread with one turn that has ended, and that nobody holds."""
        thread_id = self.start(**arguments)
        self.turn(thread_id, message, answer, status)
        self.call("thread_unsubscribe", thread_id=thread_id)
        return thread_id

    def turn(self, thread_id: str, message: str, answer: str = "Done.", status: str = "completed") -> None:
        self.call("turn_start", thread_id=thread_id, input=message)
        said = {"message": answer} if status == "completed" else {"error": answer} if status == "failed" else {}
        self.call("turn_complete", thread_id=thread_id, status=status, **said)

    def end(self) -> None:
        self._raw.end()


@contextmanager
def writing(home: Path) -> Generator[Writer]:
    writer = Writer(home)
    try:
        yield writer
    finally:
        writer.end()


def fill(home: Path) -> dict[str, str]:
    """Write the home. Returns the ids of its threads, by what they are for."""
    put(home, WORK, *work_of_codex(), cwd="/home/ada/lamp", git={"branch": "faster-search"})
    with writing(home) as writer:
        writer.call("thread_update", thread_id=WORK, name=WORK_NAME, tags=["search", "speed"])
        ids = {"work": WORK}
        ids["failed"] = writer.written(
            "Deploy it", "The registry can't be reached", "failed", name="Deploy", cwd="/home/ada/ops"
        )
        ids["stopped"] = writer.written("Rewrite all", "", "interrupted", name="Rewrite", cwd="/home/ada/ops")
        ids["unnamed"] = writer.written("What does this regular expression match?", cwd="/home/ada/lamp")
        ids["archived"] = writer.written("An old question", name="Old question", cwd="/home/ada/lamp")
        writer.call("thread_archive", thread_id=ids["archived"])
        ids |= grow(writer)
    return ids


def grow(writer: Writer, name: str = "Review the release") -> dict[str, str]:
    """A root with three sub-agents, one of which has one of its own."""
    root = writer.written("Review the release with helpers", name=name, cwd="/home/ada/lamp")
    tests = writer.written("Run the tests", parent_thread_id=root, agent_nickname="Turing", agent_role="tester")
    docs = writer.written("Read the manual", "no manual", "failed", parent_thread_id=root, agent_nickname="Knuth")
    leaf = writer.written("Run the slow tests", parent_thread_id=tests, agent_nickname="Hopper")
    return {"root": root, "tests": tests, "docs": docs, "leaf": leaf}
