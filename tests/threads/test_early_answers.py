"""While the index is being built: a list is the page that the whole index gives, or it waits; a search says what it
could not look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_server.codex.files import BadLine, Description, RolloutRef
from mcp_server.models.event import ThreadEvent
from mcp_server.models.params import ListParams, SearchParams, ThreadFilter
from mcp_server.models.records import ALL_ACTIVE, BackfillState, Change
from mcp_server.models.results import SearchResult, ThreadListResult
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync.lookup import UnindexedFiles
from mcp_server.sync.reconciler import backfill, index_newest_batch
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from tests.stores.rollout_text import meta, text_of, user
from tests.worlds import attach, files_stores

NEWEST = datetime(2026, 11, 22, 12, tzinfo=UTC)
COUNT = 40


class WatchedHome(MemoryRollouts):
    """Looks at the lists before each batch of a build. Thread n was created 6 n hours before the first."""

    def __init__(self, shift: timedelta = timedelta()) -> None:
        super().__init__()
        self.look: Callable[[], None] | None = None
        for number in range(COUNT):
            key = f"01a20581-0000-7000-8000-{number:012x}"
            created = NEWEST - timedelta(hours=6 * number)
            local = created + shift
            name = f"rollout-{local:%Y-%m-%dT%H-%M-%S}-{key}.jsonl"
            folder = "archived_sessions" if number % 10 == 9 else f"sessions/{local:%Y/%m/%d}"
            said = user(f"message {number}", at=created.isoformat())
            data = text_of(meta(key, timestamp=created.isoformat(), cwd=f"/{number % 2}"), said)
            self._files[f"{folder}/{name}"] = (data, int(created.timestamp() * 1e9))

    def describe_many(self, files: Sequence[RolloutRef]) -> list[Description | BadLine | None]:
        if self.look is not None:
            self.look()
        return super().describe_many(files)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDb]:
    with closing(StateDb.open(tmp_path / "threadstore.sqlite")) as state:
        yield state


def service_on(home: MemoryRollouts, state: StateStore) -> ThreadService:
    service = ThreadService(files_stores(home, MemoryLocks(), None), defaults=Defaults(cwd="/"), now_ms=lambda: 0)
    lookup_of(service).building = state
    return service


def lookup_of(service: ThreadService) -> UnindexedFiles:
    assert isinstance(service.catalog.lookup, UnindexedFiles)
    return service.catalog.lookup


NEW = ListParams(sort_key="created_at")
LISTS = {
    "default": ListParams(limit=5),
    "newest": replace(NEW, limit=5),
    "filtered": replace(NEW, filter=ThreadFilter(cwd=["/1"]), limit=3),
    "by term": replace(NEW, filter=ThreadFilter(search_term="message 1"), limit=2),
    "second page": replace(NEW, limit=5, cursor="2026-11-21T06:00:00Z"),
    "since": replace(NEW, filter=ThreadFilter(since="2026-11-20T00:00:00Z"), limit=50),
    "all": replace(NEW, limit=100),
    "oldest first": ListParams(limit=5, sort_direction="asc"),
    "by update": ListParams(limit=5, sort_key="updated_at"),
    "archived": ListParams(ThreadFilter(archived=True)),
    "of a parent": ListParams(ThreadFilter(parent_thread_id="01a20581-0000-7000-8000-000000000001")),
}


def build(home: WatchedHome, state: StateDb, batch_rows: int) -> tuple[dict[str, list[ThreadListResult]], int]:
    """What each list gave before each batch, where it did not wait; and how many batches there were."""
    service = service_on(home, state)
    early: dict[str, list[ThreadListResult]] = {name: [] for name in LISTS}
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        for name, params in LISTS.items():
            if (page := service.reader.early_list(params)) is not None:
                early[name].append(page)

    home.look = look
    backfill(home, state, owner="here", now_ms=lambda: 0, batch_rows=batch_rows)
    return early, looks


@pytest.mark.parametrize("shift", [timedelta(hours=14), timedelta(), timedelta(hours=-12)])
def test_an_early_page_has_the_rows_of_the_whole_index_in_every_time_zone(state: StateDb, shift: timedelta) -> None:
    home = WatchedHome(shift)
    early, looks = build(home, state, batch_rows=3)
    service = service_on(home, state)
    attach(service, home, state)
    for name, params in LISTS.items():
        whole = service.reader.list(params)
        assert whole.incomplete is None
        for page in early[name]:
            assert page.data == whole.data, name
            assert page.next_cursor == whole.next_cursor, name
            assert page.total <= whole.total
            assert page.incomplete is not None
    # Active threads: before the last batches, which are of archived ones, every list of them is there.
    assert looks == 14
    assert [len(early[name]) for name in ("newest", "second page", "all", "by update", "oldest first")] == [
        *(pages := [len(early["newest"]), len(early["second page"])]),
        *[2] * 3,
    ]
    assert 2 < pages[1] < pages[0] < looks
    assert early["archived"] == early["of a parent"] == []


def test_an_early_page_says_how_far_the_index_is(state: StateDb) -> None:
    early, _ = build(WatchedHome(), state, batch_rows=20)
    (page,) = early["newest"]
    assert page.incomplete == "The index is being built: 20 of 40 files are in it, and counted, so far."
    assert page.total == 20


def test_an_early_page_of_what_was_worked_on_last_says_that_older_threads_may_be_missing(state: StateDb) -> None:
    home = WatchedHome()
    path = next(path for path in sorted(home._files) if path.startswith("sessions"))  # pyright: ignore[reportPrivateUsage]
    begun, again = home._files[path][0], text_of(user("go on", at=NEWEST.isoformat()))  # pyright: ignore[reportPrivateUsage]
    home._files[path] = (begun + again, int(NEWEST.timestamp() * 1e9))  # pyright: ignore[reportPrivateUsage]
    early, _ = build(home, state, batch_rows=20)
    (page,) = early["default"]
    assert page.incomplete is not None
    assert page.incomplete.endswith("so far; threads begun before 2026-11-17 and worked on since are missing yet.")
    service = service_on(home, state)
    attach(service, home, state)
    oldest = service.reader.list(LISTS["default"]).data[0].id
    assert (oldest in path, oldest in {row.id for row in page.data}) == (True, False)


def test_the_first_page_comes_from_the_first_batch_until_the_state_db_has_it(state: StateDb) -> None:
    home, newest_only = WatchedHome(), MemoryState()
    assert not index_newest_batch(home, newest_only)  # all of it is one batch
    assert newest_only.known_rollouts() == {}
    assert index_newest_batch(home, newest_only, batch_rows=20)
    service = service_on(home, state)
    lookup_of(service).newest_only = newest_only
    page = service.reader.early_list(LISTS["default"])
    assert page is not None
    assert service.reader.early_list(LISTS["all"]) is None
    assert service.searcher.early_search(SearchParams("message 1")) == SearchResult(
        data=[], incomplete=["The index is being built: 0 of 0 files are in it so far, and were searched"]
    )
    backfill(home, state, owner="here", now_ms=lambda: 0)
    attach(service, home, state)
    assert service.reader.early_list(LISTS["default"]) is None
    whole = service.reader.list(LISTS["default"])
    assert (page.data, page.next_cursor, page.total) == (whole.data, whole.next_cursor, 20)


def test_an_early_list_waits_for_a_file_whose_name_has_no_time(state: StateDb) -> None:
    home = WatchedHome()
    path = next(path for path in sorted(home._files) if path.startswith("sessions"))  # pyright: ignore[reportPrivateUsage]
    home._files["sessions/0/rollout-by-hand.jsonl"] = home._files.pop(path)  # pyright: ignore[reportPrivateUsage]
    early, _ = build(home, state, batch_rows=3)
    assert len(early["default"]) == len(early["all"])


def test_an_early_list_waits_after_a_change_of_this_server(state: StateDb) -> None:
    home = WatchedHome()
    service = service_on(home, state)
    backfill(home, state, owner="here", now_ms=lambda: 0)
    state.reopen_backfill()
    state.checkpoint_backfill(BackfillState("running", horizon_ms=ALL_ACTIVE))
    assert service.reader.early_list(LISTS["default"]) is not None
    service.catalog.record(Change(events=(ThreadEvent("thread/closed", "a"),)))
    assert service.reader.early_list(LISTS["default"]) is None


def test_an_early_search_finds_what_is_indexed_and_says_that_there_is_more(state: StateDb) -> None:
    home = WatchedHome()
    service = service_on(home, state)
    told: list[SearchResult | None] = []

    def look() -> None:
        told.append(service.searcher.early_search(SearchParams("message")))

    home.look = look
    backfill(home, state, owner="here", now_ms=lambda: 0, batch_rows=20)
    first, second = told
    assert first is not None
    assert second is not None
    assert (first.data, first.total) == ([], None)
    assert {hit.thread.id for hit in second.data} < {f"01a20581-0000-7000-8000-{n:012x}" for n in range(23)}
    assert len(second.data) > 10
    assert second.incomplete == [
        "The index is being built: 20 of 40 files are in it so far, and were searched",
    ]
    attach(service, home, state)
    whole = service.searcher.search(SearchParams("message", limit=100))
    assert (len(whole.data), whole.incomplete) == (36, [])


def test_a_search_waits_where_the_part_is_no_answer(state: StateDb) -> None:
    home = WatchedHome()
    service = service_on(home, state)
    key = "01a20581-0000-7000-8000-000000000001"
    for params in (SearchParams("message", thread_id=key), SearchParams("x", ThreadFilter(ancestor_thread_id=key))):
        assert service.searcher.early_search(params) is None
    assert service.searcher.early_search(SearchParams("message")) is not None
    service.catalog.record(Change(events=(ThreadEvent("thread/closed", "a"),)))
    assert service.searcher.early_search(SearchParams("message")) is None
    lookup_of(service).building = None
    assert service.searcher.early_search(SearchParams("message")) is None
