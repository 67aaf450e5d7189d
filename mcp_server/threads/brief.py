"""The verb that hands a thread over: what it is about, how it stands and how to go on, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType

from mcp_server.codex.work import (
    changed_files,
    decisions_in,
    failure_of,
    open_steps,
    question_in,
    said_by_agent,
    said_by_user,
)
from mcp_server.errors import ThreadstoreError
from mcp_server.models.heading import title_of
from mcp_server.models.history import TurnSpan
from mcp_server.models.results import (
    BriefAgent,
    BriefAnswer,
    BriefFailure,
    BriefResult,
    BriefState,
    TurnOutcome,
)
from mcp_server.models.thread import StoredThread, spawn_task
from mcp_server.models.times import rfc3339
from mcp_server.models.turn import Turn
from mcp_server.models.value import as_json
from mcp_server.storage.contracts import Holder, Leases
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reader import Reader
from mcp_server.threads.tree import descendants
from mcp_server.threads.turn_index import History
from mcp_server.threads.views import thread_tokens
from mcp_server.threads.waiting import TurnWatch

MAX_CHARS = 6_000
# The last turns are read whole, up to so many and so many bytes; of the others only what was asked and answered.
_WHOLE_TURNS, _WHOLE_BYTES, _TURNS = 40, 16 << 20, 200
_SUB_AGENTS = 30
_SCALES = (4, 2.5, 1.6, 1, 0.8, 0.6, 0.45, 0.3, 0.2, 0.12, 0.06)


@dataclass
class Findings:
    """What the turns of a thread tell, the newest first. `open_points` are those of the last plan."""

    answers: list[BriefAnswer] = field(default_factory=list[BriefAnswer])
    decisions: list[str] = field(default_factory=list[str])
    files: list[str] = field(default_factory=list[str])
    failures: list[BriefFailure] = field(default_factory=list[BriefFailure])
    open_points: list[str] | None = None


class Briefs:
    def __init__(self, catalog: Catalog, reader: Reader, locks: Leases) -> None:
        self._catalog, self._reader, self._locks = catalog, reader, locks
        self._turns = TurnWatch(catalog, locks)

    def show(self, reference: str) -> BriefResult:
        """A hand-over of the thread and its sub-agents within `MAX_CHARS` characters of JSON.

        Raises:
            ThreadNotFound, DamagedRollout: as `Catalog.known`.
        """
        thread_id = self._catalog.resolve(reference)
        return self._catalog.retry_if_moved(thread_id, lambda: self._show(thread_id))

    def _show(self, thread_id: str) -> BriefResult:
        (stored,) = self._catalog.with_facts([self._catalog.known(thread_id)])
        loaded = self._catalog.loaded.get(thread_id)
        history = self._catalog.history(stored) if loaded is None or loaded.has_rollout else None
        findings = _findings(self._last_turns(history)) if history else Findings()
        state = self._state(stored, history)
        agents = self._agents(thread_id)
        goal = _goal(history) or stored.preview or spawn_task(stored.source) or ""
        briefs = (_brief(stored, goal, state, findings, agents, scale) for scale in _SCALES)
        brief = next(briefs)
        while len(as_json(brief)) > MAX_CHARS and (shorter := next(briefs, None)):
            brief = shorter
        return brief

    def _last_turns(self, history: History) -> list[Turn]:
        """The last turns, oldest first: whole as far as they are few and short, before that what was asked and
        answered."""
        total = history.checkpoint.turns
        spans = history.spans(max(0, total - _TURNS), total)
        whole = _whole(spans)
        return [
            *history.show(spans[: len(spans) - whole], "summary"),
            *history.show(spans[len(spans) - whole :], "full"),
        ]

    def _state(self, stored: StoredThread, history: History | None) -> BriefState:
        outcome = self._turns.outcome(stored.id)
        holder = self._locks.foreign().get(stored.id)
        return BriefState(
            turns=history.checkpoint.turns if history else 0,
            last_turn=outcome.status,
            error=_cut(outcome.error, 300) if outcome.error else UNSET,
            worked_on=rfc3339(stored.recency_at_ms),
            held_by=UNSET if holder is None else _sentence(holder),
            archived=stored.archived or UNSET,
            tokens=thread_tokens(history.tokens) if history else UNSET,
        )

    def _agents(self, thread_id: str) -> list[BriefAgent]:
        """The sub-agents, those that did not complete their last turn first."""
        below = descendants(thread_id, self._catalog.edges_below(thread_id))
        ids = [node.thread_id for node in below]
        known, _ = self._catalog.known_many(ids[:_SUB_AGENTS])
        agents = [
            self._agent(thread, self._outcome(thread.id))
            for thread in (known[thread_id] for thread_id in ids[:_SUB_AGENTS])
            if isinstance(thread, StoredThread)
        ]
        agents.sort(key=lambda agent: agent.status is UNSET)
        others = [BriefAgent(thread_id=thread_id, name="") for thread_id in ids[_SUB_AGENTS:]]
        return [*agents, *others]

    def _outcome(self, thread_id: str) -> TurnOutcome | None:
        try:
            return self._turns.outcome(thread_id)
        except ThreadstoreError:  # an unreadable sub-agent hides no other
            return None

    def _agent(self, thread: StoredThread, outcome: TurnOutcome | None) -> BriefAgent:
        role = f"({thread.agent_role})" if thread.agent_role else ""
        status = outcome.status if outcome else UNSET
        return BriefAgent(
            thread_id=thread.id,
            name=" ".join(part for part in (thread.agent_nickname, role) if part) or title_of(thread),
            status=UNSET if status == "completed" else status,
            answer=(outcome.error or outcome.message) if outcome else UNSET,
        )


def _whole(spans: Sequence[TurnSpan]) -> int:
    """How many of the last turns are read whole."""
    size = number = 0
    for span in reversed(spans[-_WHOLE_TURNS:]):
        size += span.end - span.begin.start
        if size > _WHOLE_BYTES:
            break
        number += 1
    return number


def _goal(history: History | None) -> str:
    turns = history.turns(0, 1, "summary") if history else []
    return next((said for turn in turns for item in turn.items if (said := said_by_user(item))), "")


def _findings(turns: Sequence[Turn]) -> Findings:
    """What turns tell, given oldest first."""
    found = Findings()
    for turn in reversed(turns):
        asked = [said for item in turn.items if (said := said_by_user(item))]
        told = [said for item in turn.items if (said := said_by_agent(item))]
        if turn.error is not None:
            found.failures.append(BriefFailure(turn_id=turn.id, what="turn", error=turn.error.message))
        for item in reversed(turn.items):
            found.files += [path for path in changed_files(item) if path not in found.files]
            if (failed := failure_of(item)) is not None:
                found.failures.append(BriefFailure(turn_id=turn.id, what=failed.what, error=failed.error))
            if found.open_points is None:
                found.open_points = open_steps(item)
        for said in (*reversed(told), *reversed(asked)):
            found.decisions += [one for one in reversed(decisions_in(said)) if one not in found.decisions]
        found.answers.append(_answer(turn, asked, told))
    if turns and (question := _last_question(turns[-1])):
        found.open_points = [question, *(found.open_points or ())]
    return found


def _last_question(turn: Turn) -> str | None:
    last = next((said for item in reversed(turn.items) if (said := said_by_agent(item))), "")
    return question_in(last)


def _answer(turn: Turn, asked: Sequence[str], told: Sequence[str]) -> BriefAnswer:
    return BriefAnswer(
        turn_id=turn.id,
        at=UNSET if turn.started_at is None else rfc3339(turn.started_at * 1000),
        asked=asked[0] if asked else UNSET,
        answer=told[-1] if told else UNSET,
        status=UNSET if turn.status == "completed" else turn.status,
    )


# ---------------------------------------------------------------------------------------------- within the bound


@dataclass(frozen=True)
class Bound:
    """Which part of its usual room everything gets."""

    scale: float

    def few(self, number: int) -> int:
        return max(1, round(number * self.scale))

    def cut(self, text: str, chars: int) -> str:
        return _cut(text, max(20, round(chars * self.scale)))

    def cut_if(self, text: str | UnsetType, chars: int) -> str | UnsetType:
        return UNSET if text is UNSET else self.cut(text, chars)


def _brief(
    stored: StoredThread,
    goal: str,
    state: BriefState,
    findings: Findings,
    agents: Sequence[BriefAgent],
    scale: float,
) -> BriefResult:
    """The hand-over with texts and lists cut to a part of what they may have at most."""
    bound = Bound(scale)
    shown = _lists(findings, agents, bound)
    lengths = {
        "decisions": len(findings.decisions),
        "open_points": len(findings.open_points or ()),
        "files": len(findings.files),
        "failures": len(findings.failures),
        "sub_agents": len(agents),
    }
    more = {name: length - len(shown[name]) for name, length in lengths.items() if length > len(shown[name])}
    return BriefResult(
        thread_id=stored.id,
        name=_cut(stored.name, 120) if stored.name else UNSET,
        cwd=_end_of(stored.cwd, 300) or UNSET,
        branch=_cut((stored.git.branch if stored.git else None) or "", 100) or UNSET,
        parent_thread_id=stored.parent_thread_id or UNSET,
        tags=list(stored.tags) or UNSET,
        goal=bound.cut(goal, 700),
        state=state,
        more=more or UNSET,
        how_to_go_on=_way_on(stored, state),
        **{name: rows or UNSET for name, rows in shown.items()},
    )


def _lists(findings: Findings, agents: Sequence[BriefAgent], bound: Bound) -> dict[str, Any]:
    return {
        "answers": [
            BriefAnswer(
                turn_id=one.turn_id,
                at=one.at,
                asked=bound.cut_if(one.asked, 150 if number else 300),
                answer=bound.cut_if(one.answer, 250 if number else 1_200),
                status=one.status,
            )
            for number, one in enumerate(findings.answers[: bound.few(4)])
        ],
        "decisions": [bound.cut(one, 180) for one in findings.decisions[: bound.few(6)]],
        "open_points": [bound.cut(one, 160) for one in (findings.open_points or [])[: bound.few(8)]],
        "files": [_end_of(path, 160) for path in findings.files[: bound.few(20)]],
        "failures": [
            BriefFailure(turn_id=one.turn_id, what=bound.cut(one.what, 120), error=bound.cut(one.error, 200))
            for one in findings.failures[: bound.few(4)]
        ],
        "sub_agents": [
            BriefAgent(
                thread_id=one.thread_id,
                name=_cut(one.name, 60),
                status=one.status,
                answer=bound.cut_if(one.answer, 160),
            )
            for one in agents[: bound.few(8)]
        ],
    }


def _way_on(stored: StoredThread, state: BriefState) -> str:
    details = "thread_items with a turn_id shows a turn whole, thread_outline all that was asked"
    if stored.archived:
        return f"thread_unarchive, then thread_resume and turn_start; {details}"
    if state.held_by:
        return f"thread_fork goes on from a copy, events_read with until=turn_end waits for its turn; {details}"
    return f"thread_resume, then turn_start; {details}"


def _cut(text: str, chars: int) -> str:
    flat = " ".join(text.split()) if chars < 200 else text.strip()
    return flat if len(flat) <= chars else f"{flat[: chars - 1]}…"


def _end_of(path: str, chars: int) -> str:
    return path if len(path) <= chars else f"…{path[1 - chars :]}"


def _sentence(holder: Holder) -> str:
    parts = [f"pid {holder.pid}" if holder.pid is not None else "another process", holder.program or ""]
    since = f"since {rfc3339(holder.since_ms)}" if holder.since_ms is not None else ""
    return ", ".join(part for part in (*parts, since) if part)
