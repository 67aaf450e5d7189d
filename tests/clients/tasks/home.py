"""The home that the tasks are about: some hundred threads of four projects, and among them those that people ask for.

Times count back from now, since people say "yesterday" and "this week".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mcp_server.codex import writer
from mcp_server.codex.lines import RolloutLine, encode_line
from mcp_server.models.thread import GitInfo
from mcp_server.models.times import rfc3339
from mcp_server.models.value import Json
from tests.questions.home import QuestionHome

OTHERS = 600
_OTHERS_EVERY = timedelta(minutes=60)
_MINUTE_MS = 60_000
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

CHECKOUT, LEGACY, PIPELINE = "/work/atlas/checkout", "/work/legacy-api", "/work/pipeline"
SCRATCH, NOTES, METRICS = "/work/scratch", "/work/atlas/notes", "/work/metrics"


@dataclass(frozen=True)
class Turn:
    """What the user asked, what the agent did, and what it answered; or how the turn failed instead."""

    asked: str
    answered: str = ""
    done: Sequence[Json] = ()
    failed: str | None = None
    is_open: bool = False
    tokens: int = 0


def command(line: str, output: str, *, works: bool = True) -> Json:
    return {"name": "shell", "arguments": {"command": line}, "output": output, "success": works}


def patch(path: str) -> Json:
    text = f"*** Begin Patch\n*** Update File: {path}\n@@\n-old\n+new\n*** End Patch"
    return {"name": "apply_patch", "arguments": {"input": text}, "output": "Success", "success": True}


def plan(**steps: str) -> Json:
    entries = [{"step": step.replace("_", " "), "status": status} for step, status in steps.items()]
    return {"name": "update_plan", "arguments": {"plan": entries}, "output": "Plan updated", "success": True}


def at_length(n: int, answer: str) -> str:
    """An answer as agents give it: with what they looked at before, and what they would do next."""
    before = (
        "I read the module and its tests first, and ran them once to see where things stand.",
        "The code has grown in three places, and the comments no longer say what it does.",
        "I compared the two branches: the difference is small, but it touches the public interface.",
        "The logs of the last week show the same picture on both hosts, so it is not the machine.",
    )
    after = (
        "All tests that were green are green; I left the formatting of other files alone.",
        "If you want, I can also write this down in the README, where the old behaviour is described.",
        "There is one thing that I did not touch: the configuration for staging, which differs by two lines.",
        "The change is small enough for one review, and I have split it into two commits.",
    )
    shifted = [*before[n % 4 :], *before[: n % 4]], [*after[n % 4 :], *after[: n % 4]]
    return "\n\n".join([" ".join(shifted[0][:3]), answer, " ".join(shifted[1][:3])])


# ---------------------------------------------------------------------------------------------- what was said

RETRIES = (
    Turn(
        "customers are charged twice when the payment provider times out, find out why",
        "The retry sends a new payment request without an idempotency key, so the provider takes it for another order.",
        [command("rg -n 'retry' src/payments.py", "src/payments.py:118: for attempt in retry(3):")],
    ),
    Turn(
        "give every attempt the same key",
        "Each order now has one idempotency key, kept in the table payment_attempts; all three attempts send it.",
        [patch("src/payments.py"), command("pytest tests/payments", "14 passed")],
    ),
    Turn(
        "and the refunds?",
        "Refunds still lack a key. Next step: the same change in src/refunds.py, then a migration for old rows.",
    ),
)
AGENT_ERROR = "docker build failed: no space left on device while writing /var/lib/docker/overlay2"
WAITING_TASK, WAITED_FOR = "run the smoke test", "The smoke test passed on all three hosts."
RELEASE = (
    Turn(
        "prepare release 2.4 with helpers: changelog, image, migration check, smoke test",
        "I gave the four parts to sub-agents and wait for them.",
    ),
)
MIGRATION = (
    Turn(
        "move invoices from MySQL to PostgreSQL without a stop of more than a minute",
        "I looked at the schema. We will replicate with logical decoding instead of a dump, since the dump takes an "
        "hour.",
        [command("wc -l schema.sql", "2140 schema.sql"), patch("migrate/replicate.py")],
    ),
    Turn(
        "ok, but keep the old ids",
        "Decided: ids stay as they are, and the sequence starts above the highest one.",
        [patch("migrate/sequences.sql"), plan(Replicate_the_tables="completed", Switch_the_writers="pending")],
    ),
    Turn(
        "run the check",
        "The row counts differ by 12 in invoice_lines. Shall I look for the missing rows before the switch?",
        [command("python -m migrate.check", "invoice_lines: 88120 != 88132\nERROR counts differ", works=False)],
    ),
)
WRONG_TURN = "drop the bucket and use one global lock around the handler"
LIMITER = (
    Turn("limit each customer to 100 requests a minute", "A token bucket in Redis, one key per customer, is in place."),
    Turn("write tests for bursts", "Four tests for bursts pass."),
    Turn(WRONG_TURN, "Done: a global lock serialises all requests. The throughput fell from 900 to 40 a second."),
    Turn("that is slow, tune it", "I tuned the lock's timeout; it is still slow."),
)
_TRACE = "\n".join(
    f'  File "/work/pipeline/steps/step_{n}.py", line {n * 7}, in run\n    return self.inner.run(batch, depth={n})'
    for n in range(1, 16)
)
LAST_ERROR = (
    f"Traceback (most recent call last):\n{_TRACE}\n"
    "pipeline.errors.SchemaMismatch: column `amount_cents` of sink orders_daily is INT, the batch has DECIMAL(12,2) "
    "(batch 2214 of 2300, partition 2026-w12, 18 rows)"
)
_LOG = "\n".join(f"12:{n // 60:02}:{n % 60:02} INFO batch {n} of 2300 written, 1200 rows" for n in range(600))
NIGHTLY = (
    Turn("run the nightly export", "It ran through.", [command("make export", "2300 batches written")]),
    Turn(
        "run it again with the new column",
        "The export fails near the end. I have not looked into it.",
        [command("make export", f"{_LOG}\n{LAST_ERROR}", works=False)],
    ),
)
CRASHED = (
    Turn("how large is the search index of the catalogue", "41 GB, of which 30 are old versions."),
    Turn(
        "rebuild it without the old versions",
        done=[command("indexer rebuild --skip-old", "shard 3 of 16 rebuilt"), plan(Rebuild_the_shards="in_progress")],
        is_open=True,
    ),
)
YESTERDAY = {
    "Grafana board for queues": (METRICS, Turn("a board for queue lengths", "The board shows all nine queues.")),
    "Notes of the incident": (NOTES, Turn("write up the incident", "The write-up is in incident-0412.md.")),
    "Flaky browser test": (CHECKOUT, Turn("the browser test is flaky", failed="the model's context is full")),
}


# ---------------------------------------------------------------------------------------------- files


@dataclass
class TasksHome:
    """Ids of the threads that the tasks are about, for the checks alone: a model has to find them."""

    path: Path
    ids: dict[str, str] = field(default_factory=dict[str, str])
    old_unnamed: list[str] = field(default_factory=list[str])
    old_named: list[str] = field(default_factory=list[str])
    recent: list[str] = field(default_factory=list[str])
    test_threads: list[str] = field(default_factory=list[str])


def make_home(path: Path) -> TasksHome:
    """Write the home, whose other threads come from the home that search is measured with."""
    home, now = TasksHome(path), datetime.now().astimezone()
    begin = now - OTHERS * _OTHERS_EVERY
    others = QuestionHome(path, (), OTHERS, seed=5, begin=begin, every=_OTHERS_EVERY)
    put = _Writer(home, others)
    put("Payment retries", RETRIES, CHECKOUT, now - 2 * DAY, branch="fix/double-charge")
    put("Release 2.4", RELEASE, CHECKOUT, now - 4 * HOUR)
    _put_agents(put, now - 3 * HOUR)
    put("Invoices to PostgreSQL", MIGRATION, PIPELINE, now - 5 * DAY, branch="postgres")
    put("Rate limiter", LIMITER, CHECKOUT, now - 6 * DAY)
    put("Nightly export", NIGHTLY, PIPELINE, now - 9 * DAY)
    put("Search index of the catalogue", CRASHED, NOTES, now - 8 * HOUR, named=False)
    yesterday = now.replace(hour=12, minute=0) - DAY
    for n, (name, (cwd, turn)) in enumerate(YESTERDAY.items()):
        put(name, [turn], cwd, yesterday + n * HOUR)
    for n in range(3):
        put(f"metrics {n}", [_counted(n), _counted(n + 3)], METRICS, now - (n + 2) * DAY, named=False)
    _put_legacy(put, now)
    for n in range(4):
        answer = Turn(f"test thread {n}: ping, please ignore", "pong")
        home.test_threads.append(put(f"test {n}", [answer], SCRATCH, now - (10 + n) * DAY, named=False))
    return home


def _counted(n: int) -> Turn:
    return Turn(f"why does gauge {n} jump", f"Gauge {n} counts restarts too.", tokens=20_000 + 1_000 * n)


def _put_legacy(put: _Writer, now: datetime) -> None:
    """A project's threads: old ones with and without a name, and some of this month."""
    for n in range(12):
        old = n < 9
        name = f"Legacy decision {n}" if old and n % 4 == 0 else None
        turn = Turn(f"legacy endpoint {n} answers 500, why", f"Endpoint {n} reads a header that is gone.")
        ago = timedelta(days=40 + 5 * n) if old else timedelta(days=n - 6)
        thread_id = put(name or f"legacy {n}", [turn], LEGACY, now - ago, named=name is not None)
        kind = put.home.old_named if name else put.home.old_unnamed if old else put.home.recent
        kind.append(thread_id)


def _put_agents(put: _Writer, at: datetime) -> None:
    agents = {
        "Ada": Turn("write the changelog", "The changelog has 31 entries."),
        "Bob": Turn("build the image", failed=AGENT_ERROR),
        "Cleo": Turn("check the migrations", "All 12 migrations run forwards and back."),
        "Dora": Turn("look which hosts there are", "There are three hosts."),
    }
    for n, (nickname, turn) in enumerate(agents.items()):
        put(nickname, [turn], CHECKOUT, at + n * timedelta(minutes=5), named=False, parent="Release 2.4")


class _Writer:
    def __init__(self, home: TasksHome, others: QuestionHome) -> None:
        self.home, self._others, self._number = home, others, 0

    def __call__(
        self,
        title: str,
        turns: Sequence[Turn],
        cwd: str,
        at: datetime,
        *,
        named: bool = True,
        branch: str | None = None,
        parent: str | None = None,
    ) -> str:
        """Write a thread whose last turn began at a time; `title` is its name if it is named, a nickname if it has a
        parent."""
        self._number += 1
        begin = _ms(at) - (len(turns) - 1) * 10 * _MINUTE_MS
        stamp = f"{begin:012x}"
        thread_id = f"{stamp[:8]}-{stamp[8:]}-7{self._number:03x}-8{self._number:03x}-{self._number * 0x9E3779B1:012x}"
        parent_id = self.home.ids[parent] if parent else None
        lines = [
            writer.session_meta(
                thread_id,
                session_id=parent_id or thread_id,
                created_at_ms=begin,
                cwd=cwd,
                originator="codex_cli_rs",
                cli_version="0.171.0",
                source=writer.spawn_source(parent_id, 1, title, "worker") if parent_id else "cli",
                model_provider="openai",
                base_instructions=None,
                parent_thread_id=parent_id,
                agent_nickname=title if parent_id else None,
                agent_role="worker" if parent_id else None,
                git=GitInfo(sha=None, branch=branch, origin_url=None) if branch else None,
            ),
            *(line for n, turn in enumerate(turns) for line in _turn(thread_id, n, turn, begin + n * 10 * _MINUTE_MS)),
        ]
        rollouts = self._others.rollouts
        rollout = rollouts.create(rollouts.new(thread_id, begin), b"".join(map(encode_line, lines)))
        os.utime(rollouts.absolute(rollout), (at.timestamp(), at.timestamp()))
        if named:
            rollouts.set_name(thread_id, title, begin)
        self.home.ids[title] = thread_id
        return thread_id


def _turn(thread_id: str, number: int, turn: Turn, at: int) -> Iterator[RolloutLine]:
    turn_id = f"{thread_id[:-4]}{number:04x}"
    yield from writer.turn_started(turn_id, turn_id, at)
    yield from writer.user_message(turn_id, [{"type": "text", "text": turn.asked}], at)
    for n, call in enumerate(turn.done):
        call_id = f"call_{number}_{n}"
        yield from writer.tool_call(turn_id, call_id, call["name"], call["arguments"], at + 1_000)
        yield from writer.tool_output(turn_id, call_id, call["output"], call["success"], at + 2_000)
    answer = at_length(number, turn.answered) if turn.answered else ""
    if answer:
        yield from writer.agent_message(turn_id, answer, at + 3_000)
    if turn.tokens:
        usage = {"input_tokens": turn.tokens * (number + 1), "output_tokens": turn.tokens * (number + 1) // 10}
        yield _token_count(usage, at + 3_000)
    if turn.failed:
        yield from writer.turn_failed(turn_id, turn_id, at, turn.failed, at + 4_000)
    elif not turn.is_open:
        yield from writer.turn_completed(turn_id, turn_id, at, answer, at + 4_000)


def _token_count(usage: Json, at: int) -> RolloutLine:
    payload: dict[str, Any] = {"type": "token_count", "info": {"total_token_usage": usage}}
    return RolloutLine(type="event_msg", payload=payload, timestamp=rfc3339(at))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
