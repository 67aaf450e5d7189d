"""Killed, failing or cancelled at any store call, a cascade is done, undone, or finished from the journal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.paths import archived_path
from mcp_server.errors import StoreFailure
from mcp_server.models.records import Change, Move, Operation
from mcp_server.models.results import CascadeResult
from mcp_server.sync.reconciler import sync
from mcp_server.threads.service import ThreadService
from tests.faults import Faults, Killed
from tests.threads.conftest import Home, Homes, hello, load

Kind = Literal["archive", "unarchive", "delete"]

TREE = (None, 0, 0, 1)
EVENTS = ("thread/archived", "thread/unarchived", "thread/deleted")
# Each call moves four threads: at least so many calls of a store does it take to plan, lock, journal, move and record.
LEAST_CALLS = 7
# What is planned and journalled already takes fewer.
LEAST_TO_FINISH = 7


def do(service: ThreadService, kind: Kind, root: str) -> CascadeResult:
    if kind == "archive":
        return service.cascade.archive(root, dry_run=False, interrupt_running=True)
    if kind == "unarchive":
        return service.cascade.unarchive(root, include="same_operation")
    return service.cascade.delete(root, dry_run=False, interrupt_running=True)


class Case:
    """A planted tree of four beside a thread that is none of it, with one name each; copied for each stop."""

    def __init__(self, homes: Homes, kind: Kind, *, loaded: bool = False) -> None:
        self.homes, self.kind, self._loaded = homes, kind, loaded
        self.seed = homes.new()
        self.ids: list[str] = []
        self.other = ""

    def plant(self) -> None:
        *self.ids, self.other = self.seed.plant(*TREE, None)
        for thread_id in (*self.ids, self.other):
            self.seed.rollouts.set_name(thread_id, f"name of {thread_id}", 0)
        sync(self.seed.rollouts, self.seed.state)
        if self.kind == "unarchive":
            do(self.seed.service(), "archive", self.ids[0])

    def process(self, home: Home, faults: Faults) -> ThreadService:
        """A process to be struck; the calls that prepare it do not count."""
        service = home.service(faults)
        at, faults.at = faults.at, 0
        if self._loaded:
            load(service, self.ids[0], self.ids[3])
            service.turns.start(self.ids[3], hello("still at work"))
        faults.at = at + len(faults.calls)
        return service

    @property
    def before(self) -> dict[str, bool]:
        return {thread_id: self.kind == "unarchive" and thread_id != self.other for thread_id in self._all()}

    @property
    def after(self) -> dict[str, bool]:
        if self.kind == "delete":
            return {self.other: False}
        return {thread_id: self.kind == "archive" and thread_id != self.other for thread_id in self._all()}

    def _all(self) -> list[str]:
        return [*self.ids, self.other]

    def check(self, home: Home, *, seq: int) -> bool:
        """Whether the cascade is done; else it is undone, and nothing in between. No lock is left either way."""
        standing = home.standing()
        assert standing in (self.before, self.after)
        done = standing == self.after
        told = home.told(*EVENTS, after=seq)
        assert sorted(told) == (sorted(self.ids) if done else [])
        assert home.locked() == []
        names = home.rollouts.names()
        assert set(names) >= set(standing)
        if self.kind == "delete":
            assert home.state.deleted(self._all()) == set(self.ids if done else [])
            assert not done or home.state.edges_below(self._all()) == []
        return done

    def sweep(self, strike: Callable[[Home, Faults], bool], at: int = 1) -> int:
        """Strike at the first call, the second, ... until the operation ends before it is struck. Returns how often."""
        while True:
            faults = Faults(at=at)
            if not strike(self.homes.copy(self.seed), faults):
                assert not faults.raised
                return at - 1
            at += 1


def planted(homes: Homes, kind: Kind, *, loaded: bool = False) -> Case:
    case = Case(homes, kind, loaded=loaded)
    case.plant()
    return case


KINDS = pytest.mark.parametrize(
    ("kind", "loaded"),
    [("archive", False), ("archive", True), ("unarchive", False), ("delete", False), ("delete", True)],
)


# ---------------------------------------------------------------------------------------------- killed


@KINDS
@pytest.mark.parametrize("start", ["journal alone", "as the server does"])
def test_a_cascade_killed_at_any_store_call_is_done_undone_or_finished_at_the_next_start(
    homes: Homes, kind: Kind, loaded: bool, start: str
) -> None:
    case = planted(homes, kind, loaded=loaded)
    finished: list[str] = []

    def strike(home: Home, faults: Faults) -> bool:
        seq = home.state.last_seq()
        service = case.process(home, faults)
        killed = False
        try:
            do(service, kind, case.ids[0])
        except Killed:
            killed = True
        home.kill()
        if start == "journal alone":
            if killed and loaded:
                sync(home.rollouts, home.state)  # the interruption may be in the file and not in the row
            next_service = home.service()
            finished.extend(operation.id for operation in next_service.cascade.finish())
        else:
            next_service = home.start_again()
        done = case.check(home, seq=seq)
        assert done or killed
        if not done:
            do(next_service, kind, case.ids[0])
            assert case.check(home, seq=seq)
        return killed

    stops = case.sweep(strike)
    assert stops >= LEAST_CALLS
    assert start != "journal alone" or finished


@pytest.mark.parametrize("kind", ["archive", "unarchive", "delete"])
def test_a_cascade_killed_again_while_a_start_finishes_it_is_finished_by_the_next(homes: Homes, kind: Kind) -> None:
    case = planted(homes, kind)
    seq = case.seed.state.last_seq()
    middle = Faults()
    do(homes.copy(case.seed).service(middle), kind, case.ids[0])
    moves = [n for n, call in enumerate(middle.calls, start=1) if call in ("move", "remove")]
    with pytest.raises(Killed):  # when some files have moved, and others not yet
        do(case.seed.service(Faults(at=moves[1])), kind, case.ids[0])
    case.seed.kill()
    (operation,) = case.seed.state.running_operations()
    assert len(operation.moves) == len(case.ids)

    def strike(home: Home, faults: Faults) -> bool:
        try:
            home.service(faults).cascade.finish()
        except Killed:
            home.kill()
            home.start_again()
            assert case.check(home, seq=seq)
            return True
        assert case.check(home, seq=seq)
        result = home.state.operation(operation.id)
        assert result is not None
        assert result.result[{"archive": "archived", "unarchive": "unarchived", "delete": "deleted"}[kind]] == [
            move.thread_id for move in operation.moves
        ]
        return False

    assert case.sweep(strike) >= LEAST_TO_FINISH


def test_a_start_without_unfinished_operations_changes_nothing(home: Home) -> None:
    ids = home.plant(*TREE)
    do(home.service(), "archive", ids[0])
    seq = home.state.last_seq()
    home.start_again()
    assert home.service().cascade.finish() == []
    assert home.state.last_seq() == seq


def test_an_operation_that_another_process_runs_is_not_finished_by_this_one(home: Home) -> None:
    ids = home.plant(*TREE)
    operation = begun(home, ids)
    at_work = home.locks()
    at_work.acquire([ids[3]])
    service = home.service()
    assert service.cascade.finish() == []
    assert home.state.running_operations() == [operation]
    assert home.locked() == [ids[3]]
    at_work.release([ids[3]])
    assert [one.id for one in service.cascade.finish()] == [operation.id]
    assert home.standing() == dict.fromkeys(ids, True)


def test_an_operation_that_can_not_be_finished_keeps_no_other_from_being_finished(home: Home) -> None:
    first, second = home.plant(None, 0), home.plant(None, 0)
    begun(home, first)
    home.rollouts.remove(RolloutRef(home.path(first[0])))
    begun(home, second)
    home.start_again()
    assert home.standing() == {first[1]: False} | dict.fromkeys(second, True)


def test_a_thread_that_was_loaded_before_the_journal_was_read_is_closed_for_its_move(home: Home) -> None:
    ids = home.plant(*TREE)
    begun(home, ids)
    service = home.service()
    load(service, ids[3])
    service.turns.start(ids[3], hello("quicker than the start"))
    service.cascade.finish()
    assert home.standing() == dict.fromkeys(ids, True)
    assert (service.loaded.ids(), home.locked()) == ([], [])
    lines = [raw.data for batch in home.rollouts.lines(RolloutRef(home.path(ids[3]))) for raw in batch]
    assert b'"turn_aborted"' in lines[-1]


def begun(home: Home, ids: list[str]) -> Operation:
    """What a process leaves that was killed right after it wrote its plan."""
    moves = tuple([Move(thread_id, home.path(thread_id)) for thread_id in ids])
    operation = Operation(f"op_{ids[0]}", "archive", ids[0], moves, "running", started_at_ms=home.now_ms())
    home.state.commit(Change(operation=operation))
    return operation


# ---------------------------------------------------------------------------------------------- failing


@KINDS
def test_a_cascade_whose_store_fails_at_any_call_is_refused_whole_or_done_with_the_rest_in_its_receipt(
    homes: Homes, kind: Kind, loaded: bool
) -> None:
    case = planted(homes, kind, loaded=loaded)

    def strike(home: Home, faults: Faults) -> bool:
        def fail() -> StoreFailure | None:
            return None if faults.calls[-1].startswith("release") else StoreFailure("no space left on device")

        seq = home.state.last_seq()
        faults.error = fail  # a release does not fail, by its contract
        service = case.process(home, faults)
        receipt: CascadeResult | None = None
        with suppress(StoreFailure):
            receipt = do(service, kind, case.ids[0])
        struck = len(faults.calls) >= faults.at
        faults.at = 0
        service.catalog.commit(Change())  # what waited for the state DB goes in with the next change
        service.lifecycle.close_all()
        passed_over = {failure.thread_id for failure in receipt.failed} if receipt else set(case.ids)
        files = {file.thread_id: file.archived for file in home.rollouts.walk()}
        assert {i: files.get(i) for i in case.before} == {
            i: case.before[i] if i in passed_over else case.after.get(i) for i in case.before
        }
        assert home.state.running_operations() == []
        assert home.locked() == []
        sync(home.rollouts, home.state)
        if kind != "unarchive" or receipt is None:  # what stayed behind in the archive may be meant to stay
            do(service, kind, case.ids[0])
            assert case.check(home, seq=seq)
        return struck

    assert case.sweep(strike) >= LEAST_CALLS


def test_a_move_cut_short_between_its_two_steps_is_finished_at_the_next_start(homes: Homes) -> None:
    home = homes.new()
    ids = home.plant(*TREE)
    begun(home, ids)
    if home.folder is None:
        pytest.skip("a move in memory has one step")
    path = home.path(ids[1])
    target = home.folder / archived_path(path)
    target.parent.mkdir()
    target.hardlink_to(home.folder / path)
    home.start_again()
    assert home.standing() == dict.fromkeys(ids, True)
    assert home.told("thread/archived") == ids
