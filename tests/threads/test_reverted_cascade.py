"""A reverted thread has several rollouts, and a cascade moves them all: wherever it is killed, and whatever fails."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.paths import ARCHIVED, is_archived
from mcp_server.errors import WriteFailed
from mcp_server.sync.reconciler import sync
from mcp_server.threads.plan import Include
from tests.faults import Faults, Killed
from tests.stores.rollout_text import meta, text_of, user
from tests.threads.conftest import Home, Homes
from tests.threads.test_cascade_crash import Kind, do

KINDS = pytest.mark.parametrize("kind", ["archive", "unarchive", "delete"])
REVERTS = [f"01a20581-1000-7000-8000-00000000000{number}" for number in (1, 2)]


def reverted(home: Home, kind: Kind) -> str:
    """A thread of three rollouts, none of them open; archived if it is to be brought back."""
    (thread_id,) = home.plant(None)
    first = home.path(thread_id)
    for number, revert in enumerate(REVERTS):
        said = text_of(meta(thread_id, history_mode="paginated"), user(f"said after revert {number}"))
        home.rollouts.create(RolloutRef(first.replace(thread_id, f"{thread_id}_{revert}")), said)
    sync(home.rollouts, home.state, quiet=True)
    if kind == "unarchive":
        do(home.service(), "archive", thread_id)
    return thread_id


def folders(home: Home) -> list[bool]:
    """Of each rollout, whether it is archived."""
    return [is_archived(file.path) for file in home.rollouts.walk()]


@KINDS
def test_a_move_of_a_reverted_thread_killed_at_any_store_call_leaves_all_its_rollouts_on_one_side(
    homes: Homes, kind: Kind
) -> None:
    seed = homes.new()
    thread_id = reverted(seed, kind)
    before, after = [kind == "unarchive"] * 3, [] if kind == "delete" else [kind == "archive"] * 3
    stops, outcomes, killed = 0, set[str](), True
    while killed:
        home, faults = homes.copy(seed), Faults(at=stops + 1)
        try:
            do(home.service(faults), kind, thread_id)
            killed = False
        except Killed:
            stops += 1
        home.kill()
        service = home.start_again()
        stand = folders(home)
        assert stand in (before, after)
        outcomes.add("done" if stand == after else "undone")
        if stand == before:
            do(service, kind, thread_id)
            assert folders(home) == after
        row = home.state.get(thread_id)
        assert (row is None) == (kind == "delete")
        assert row is None or (REVERTS[-1] in row.path and row.archived == (kind == "archive"))
    assert stops >= 8
    assert outcomes == {"done", "undone"}


@pytest.mark.parametrize("include", ["none", "same_operation", "all"])
def test_an_unarchive_restores_all_rollouts_of_a_reverted_thread_whichever_descendants_it_includes(
    home: Home, include: Include
) -> None:
    thread_id = reverted(home, "unarchive")
    assert folders(home) == [True] * 3
    result = home.service().cascade.unarchive(thread_id, include=include)
    assert result.unarchived == [thread_id]
    assert folders(home) == [False] * 3


def test_a_replaced_rollout_that_can_not_move_is_reported_and_the_thread_follows_its_current_one(
    home: Home,
) -> None:
    thread_id = reverted(home, "archive")
    first = (home.path(thread_id)).replace(f"_{REVERTS[-1]}", "")
    target = f"{ARCHIVED}/{PurePosixPath(first).name}"
    home.rollouts.create(RolloutRef(target), b"in the way")
    done = home.service().cascade.archive(thread_id, dry_run=False, interrupt_running=False)
    assert done.archived == [thread_id]
    assert [failure.thread_id for failure in done.failed] == [thread_id]
    assert PurePosixPath(first).name in done.failed[0].reason
    row = home.state.get(thread_id)
    assert row is not None
    assert row.archived
    assert home.rollouts.stat(first) is not None


@pytest.mark.parametrize("withstands", [1, 2, 3])
def test_a_delete_that_fails_for_any_of_its_rollouts_leaves_the_thread_and_can_be_repeated(
    homes: Homes, withstands: int
) -> None:
    """The current one goes last, so what is left is found again."""
    seed = homes.new()
    thread_id = reverted(seed, "delete")
    smooth = Faults()
    do(homes.copy(seed).service(smooth), "delete", thread_id)
    removals = [number for number, name in enumerate(smooth.calls, 1) if name == "remove"]
    assert len(removals) == 3

    home = homes.copy(seed)
    faults = Faults(removals[withstands - 1], lambda: WriteFailed("a rollout", "disk full"))
    done = home.service(faults).cascade.delete(thread_id, dry_run=False)
    assert (done.deleted, [failure.thread_id for failure in done.failed]) == ([], [thread_id])
    row = home.state.get(thread_id)
    assert row is not None
    assert REVERTS[-1] in row.path
    home.kill()
    again = home.service().cascade.delete(thread_id, dry_run=False)
    assert (again.deleted, list(home.rollouts.walk())) == ([thread_id], [])
