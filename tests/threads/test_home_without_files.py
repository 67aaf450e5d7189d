"""The service on a home without files: the contracts that every home keeps are all that its verbs need.

Nothing is synced with files there, nothing repaired: the index alone tells which threads there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import pytest

from mcp_server.errors import ThreadDeleted, ThreadNotFound
from mcp_server.models.params import (
    EventsParams,
    ForkParams,
    GitPatch,
    ItemsParams,
    ListParams,
    ReadParams,
    SearchParams,
    SettingsRequest,
    StartParams,
    ThreadFilter,
    ThreadPatch,
)
from mcp_server.models.turn import Item
from mcp_server.storage.contracts import Leases, Rollouts, State
from mcp_server.storage.lookup import IndexLookup
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.threads.loaded import LoadedThreads
from mcp_server.threads.service import Stores, ThreadService
from mcp_server.threads.settings import Defaults
from tests.contract.homes import MemoryHome
from tests.threads.conftest import CLIENT, hello
from tests.worlds import clock

Contract = TypeVar("Contract")


class Narrowed:
    """A store of which only one contract can be used."""

    def __init__(self, contract: type[object], store: object) -> None:
        self._names, self._store = frozenset(dir(contract)), store

    def __getattr__(self, name: str) -> object:
        if name not in self._names:
            raise AttributeError(f"{name} is in no contract that every home keeps")
        return getattr(self._store, name)


def narrowed(contract: type[Contract], store: Contract) -> Contract:
    return cast("Any", Narrowed(contract, store))


@pytest.fixture
def process() -> Callable[[], ThreadService]:
    """Begins one more process on the home."""
    home, now_ms = MemoryHome(), clock()

    def begin() -> ThreadService:
        rollouts, state = narrowed(Rollouts, home.rollouts), narrowed(State, home.state)
        locks, memory = narrowed(Leases, home.leases()), narrowed(State, MemoryState())
        stores = Stores(rollouts, locks, IndexLookup(state), memory, MemoryRollouts, LoadedThreads())
        return ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=now_ms)

    return begin


@pytest.fixture
def service(process: Callable[[], ThreadService]) -> ThreadService:
    return process()


def talk(service: ThreadService, question: str, answer: str, **fields: Any) -> str:
    """A thread with one finished turn."""
    thread_id = service.lifecycle.start(StartParams(**fields), CLIENT).thread.id
    go_on(service, thread_id, question, answer)
    return thread_id


def go_on(service: ThreadService, thread_id: str, question: str, answer: str) -> None:
    service.turns.start(thread_id, hello(question))
    service.turns.append(thread_id, [{"type": "agentMessage", "text": answer}])
    service.turns.complete(thread_id, "completed", None, None)


def listed(service: ThreadService, **filters: Any) -> list[str]:
    return [thread.id for thread in service.reader.list(ListParams(ThreadFilter(**filters))).data]


def messages(service: ThreadService, thread_id: str) -> list[str]:
    items = service.reader.items(ItemsParams(thread_id)).data
    return [said(entry.item) for entry in items]


def said(item: Item) -> str:
    content: Any = item.get("content")
    return content[0]["text"] if content else str(item.get("text"))


def test_turns_are_read_as_they_were_recorded(service: ThreadService) -> None:
    thread_id = talk(service, "what is a lease?", "a lock that lapses")
    read = service.reader.read(ReadParams(thread_id, include_turns=True))
    assert (read.total, read.thread.preview) == (1, "what is a lease?")
    assert messages(service, thread_id) == ["what is a lease?", "a lock that lapses"]


def test_a_thread_is_found_by_id_prefix_and_name_also_by_another_process(
    process: Callable[[], ThreadService],
) -> None:
    service = process()
    thread_id = talk(service, "question", "answer")
    service.metadata.update(thread_id, ThreadPatch(name="The first"))
    service.lifecycle.close_all()
    other = process()
    for reference in (thread_id, thread_id[:-4], "The first"):
        assert other.reader.read(ReadParams(reference)).thread.name == "The first"


def test_a_resumed_thread_goes_on_where_another_process_left_it(process: Callable[[], ThreadService]) -> None:
    service = process()
    thread_id = talk(service, "one", "two")
    service.lifecycle.close_all()
    other = process()
    assert len(other.lifecycle.resume(thread_id, SettingsRequest(), CLIENT, 5).turns) == 1
    go_on(other, thread_id, "three", "four")
    assert messages(other, thread_id) == ["one", "two", "three", "four"]


def test_a_list_has_pages_and_counts_what_its_filters_leave_out(service: ThreadService) -> None:
    first, second, third = (talk(service, f"question {n}", "answer") for n in range(3))
    service.cascade.archive(first, dry_run=False, interrupt_running=True)
    page = service.reader.list(ListParams(limit=1))
    assert ([one.id for one in page.data], page.total, page.hidden.archived) == ([third], 2, 1)
    assert [one.id for one in service.reader.list(ListParams(limit=1, cursor=page.next_cursor)).data] == [second]
    assert listed(service, archived=True) == [first]


def test_a_fork_has_the_history_up_to_the_turn_that_was_named(service: ThreadService) -> None:
    source = talk(service, "one", "two")
    turn_id = service.reader.read(ReadParams(source, include_turns=True)).turns[0].id
    go_on(service, source, "three", "four")
    fork = service.lifecycle.fork(ForkParams(source, last_turn_id=turn_id), CLIENT).thread
    assert fork.forked_from_id == source
    assert messages(service, fork.id) == ["one", "two"]


def test_a_tree_is_archived_and_unarchived_and_deleted_as_a_whole(service: ThreadService) -> None:
    root = talk(service, "root", "answer")
    child = talk(service, "child", "answer", parent_thread_id=root)
    assert [(node.thread_id, node.turns) for node in service.tree.show(child).nodes] == [(root, 1), (child, 1)]

    archived = service.cascade.archive(root, dry_run=False, interrupt_running=True)
    assert (archived.archived, archived.copies) == ([root, child], [])
    assert listed(service, ancestor_thread_id=root, archived=True) == [child]

    assert service.cascade.unarchive(root, include="same_operation").unarchived == [root, child]
    assert listed(service) == [root]

    assert service.cascade.delete(root, dry_run=False).deleted == [child, root]
    assert listed(service) == []
    with pytest.raises(ThreadNotFound):
        service.reader.read(ReadParams(child))
    with pytest.raises(ThreadDeleted):
        service.lifecycle.resume(root, SettingsRequest(), CLIENT, 0)


def test_a_search_finds_names_and_messages(service: ThreadService) -> None:
    by_text = talk(service, "where is the heron?", "in the reeds")
    by_name = talk(service, "question", "answer")
    service.metadata.update(by_name, ThreadPatch(name="heron"))
    found = service.searcher.search(SearchParams("heron"))
    assert ({hit.thread.id for hit in found.data}, found.incomplete) == ({by_text, by_name}, [])


def test_git_info_of_a_thread_that_is_not_loaded_is_set(process: Callable[[], ThreadService]) -> None:
    service = process()
    thread_id = talk(service, "question", "answer")
    service.lifecycle.close_all()
    process().metadata.update(thread_id, ThreadPatch(git=GitPatch({"branch": "main"})))
    git = process().reader.read(ReadParams(thread_id)).thread.git_info
    assert git is not None
    assert git.branch == "main"


def test_an_ephemeral_thread_is_read_and_leaves_nothing(service: ThreadService) -> None:
    thread_id = talk(service, "question", "answer", ephemeral=True)
    assert listed(service) == []
    assert service.reader.read(ReadParams(thread_id)).thread.ephemeral


def test_events_tell_what_was_done_in_its_order(service: ThreadService) -> None:
    thread_id = talk(service, "question", "answer")
    service.cascade.archive(thread_id, dry_run=False, interrupt_running=True)
    service.cascade.unarchive(thread_id, include="none")
    service.cascade.delete(thread_id, dry_run=False)
    told = [row.type for row in service.events.after(0, EventsParams(thread_id=thread_id, limit=100)).data]
    kinds = [f"thread/{what}" for what in ("archived", "unarchived", "deleted")]
    kinds = ["thread/started", "turn/started", "turn/completed", *kinds]
    assert [kind for kind in told if kind in kinds] == kinds
