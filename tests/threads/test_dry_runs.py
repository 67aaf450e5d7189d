"""A dry run tells what the call does next: its receipt, its refusal, what it passes over. And it changes nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import (
    ActiveWriter,
    ForkedHistoryInUse,
    RolloutNameTaken,
    ThreadstoreError,
    TurnsRunning,
)
from mcp_server.models.value import plain
from mcp_server.sync.reconciler import sync
from mcp_server.threads.service import ThreadService
from tests.rollouts import move_one
from tests.threads.conftest import Home, Homes, hello, load

Json = dict[str, Any]
Verb = Callable[[ThreadService, str, bool], Any]

VERBS: dict[str, Verb] = {
    "archive": lambda s, i, dry: s.cascade.archive(i, dry_run=dry, interrupt_running=False),
    "archive and interrupt": lambda s, i, dry: s.cascade.archive(i, dry_run=dry, interrupt_running=True),
    "unarchive all": lambda s, i, dry: s.cascade.unarchive(i, include="all", dry_run=dry),
    "unarchive one": lambda s, i, dry: s.cascade.unarchive(i, include="none", dry_run=dry),
    "delete": lambda s, i, dry: s.cascade.delete(i, dry_run=dry),
    "delete and interrupt": lambda s, i, dry: s.cascade.delete(i, dry_run=dry, interrupt_running=True),
}
FORK = "01a20581-ffff-7000-8000-000000000000"
CONDITIONS = ("plain", "loaded", "running", "held by another", "missing", "in the way")


NOT_COMPARED = ("operation_id", "dry_run", "thread", "needs", "titles")


@dataclass(frozen=True)
class State:
    """How a tree stands: the parent of each thread but the first, which are archived, and what else is with them."""

    parents: tuple[int, ...]
    archived: tuple[bool, ...]
    conditions: tuple[str, ...]


@st.composite
def states(draw: st.DrawFn) -> State:
    count = draw(st.integers(1, 5))
    parents = tuple(draw(st.integers(0, child - 1)) for child in range(1, count))
    # Few of each, so that most calls come far enough to tell something.
    condition = st.sampled_from(("plain",) * 6 + CONDITIONS)
    root_archived = draw(st.booleans())
    archived = tuple(draw(st.sampled_from((root_archived, root_archived, not root_archived))) for _ in range(count))
    return State(parents, archived, tuple(draw(condition) for _ in range(count)))


def build(home: Home, state: State) -> tuple[ThreadService, list[str]]:
    ids = home.plant(None, *state.parents)
    for thread_id, archived in zip(ids, state.archived, strict=True):
        if archived:
            move_one(home.rollouts, home.path(thread_id), archived=True)
    sync(home.rollouts, home.state)
    service, other = home.service(), home.locks()
    for thread_id, archived, condition in zip(ids, state.archived, state.conditions, strict=True):
        if condition in ("loaded", "running") and not archived:
            load(service, thread_id)
        if condition == "running" and not archived:
            service.turns.start(thread_id, hello())
        elif condition == "held by another":
            other.acquire([thread_id])
        elif condition == "missing":
            home.rollouts.remove(RolloutRef(home.path(thread_id)))
        elif condition == "in the way":
            home.obstruct(thread_id)
    return service, ids


def outcome(call: Callable[[], Any]) -> tuple[Json, list[str]]:
    """What a call tells, or how it is refused; and the threads of which it tells the titles."""
    try:
        told = plain(call())
    except ThreadstoreError as error:
        return {"error": type(error).__name__, "sentence": str(error)}, []
    titled = [one["id"] for one in told["titles"]]
    return {name: part for name, part in told.items() if name not in NOT_COMPARED}, titled


def everything(home: Home, service: ThreadService) -> Any:
    """What must not change. A row may: whoever looks for a thread brings its row in step with what it finds."""
    files = {file.path: file.stamp for file in home.rollouts.walk()}
    running = [one.thread.id for one in service.loaded.all() if one.turn is not None]
    return files, home.locked(), service.loaded.ids(), running, home.told("thread/archived", "thread/deleted")


def check(homes: Homes, state: State, verb: str) -> None:
    home = homes.new()
    service, ids = build(home, state)
    before = everything(home, service)
    foretold, titled = outcome(lambda: VERBS[verb](service, ids[0], True))
    assert titled == [i for name in ("archived", "unarchived", "deleted") for i in foretold.get(name, ())]
    assert everything(home, service) == before
    assert outcome(lambda: VERBS[verb](service, ids[0], False)) == (foretold, [])


@settings(max_examples=300, deadline=None)
@given(states(), st.sampled_from(sorted(VERBS)))
def test_a_call_in_memory_does_what_its_dry_run_reported(state: State, verb: str) -> None:
    check(Homes(None), state, verb)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(states(), st.sampled_from(sorted(VERBS)))
def test_a_call_on_files_does_what_its_dry_run_reported(state: State, verb: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="dry-run-"))
    homes = Homes(folder)
    try:
        check(homes, state, verb)
    finally:
        homes.close()
        shutil.rmtree(folder)


# ---------------------------------------------------------------------------------------------- by example


@pytest.mark.parametrize("verb", ["archive", "delete"])
def test_a_running_turn_of_a_descendant_refuses_the_call_and_is_named_in_the_plan_that_interrupts_it(
    home: Home, verb: str
) -> None:
    ids = home.plant(None, 0)
    service = home.service()
    load(service, ids[1])
    service.turns.start(ids[1], hello())
    for dry_run in (True, False):
        with pytest.raises(TurnsRunning, match=ids[1]):
            VERBS[verb](service, ids[0], dry_run)
    plan = VERBS[f"{verb} and interrupt"](service, ids[0], True)
    assert plan.interrupted == [ids[1]]
    assert service.loaded.require(ids[1]).turn is not None
    assert (VERBS[f"{verb} and interrupt"](service, ids[0], False)).interrupted == [ids[1]]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_dry_run_refuses_a_locked_thread_with_the_holder_that_the_call_names(home: Home, verb: str) -> None:
    state = State((0,), (verb.startswith("un"),) * 2, ("held by another", "plain"))
    service, ids = build(home, state)
    foretold, _ = outcome(lambda: VERBS[verb](service, ids[0], True))
    assert foretold["error"] == ActiveWriter.__name__
    assert outcome(lambda: VERBS[verb](service, ids[0], False)) == (foretold, [])


def test_a_root_whose_name_is_taken_is_refused_and_a_sub_agent_is_passed_over(home: Home) -> None:
    ids = home.plant(None, 0, 0)
    service = home.service()
    home.obstruct(ids[1])
    plan = service.cascade.archive(ids[0], dry_run=True, interrupt_running=False)
    assert plan.archived == [ids[0], ids[2]]
    assert [failure.thread_id for failure in plan.failed] == [ids[1]]
    home.obstruct(ids[0])
    with pytest.raises(RolloutNameTaken):
        service.cascade.archive(ids[0], dry_run=True, interrupt_running=False)


def test_a_deletion_that_a_fork_stands_against_is_refused(home: Home) -> None:
    (thread_id,) = home.plant(None)
    base = {"thread_id": thread_id, "end_ordinal_exclusive": 1, "end_byte_offset": 1}
    home.write(FORK, history_mode="paginated", history_base=base)
    sync(home.rollouts, home.state)
    for dry_run in (True, False):
        with pytest.raises(ForkedHistoryInUse, match=FORK):
            home.service().cascade.delete(thread_id, dry_run=dry_run)
