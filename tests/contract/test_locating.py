"""Where a store finds the rollouts of a thread."""

from __future__ import annotations

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.storage.contracts import RolloutStore
from tests.rollouts import move_one
from tests.stores.rollout_text import ARCHIVED_A, FOLDER, META, PATH_A, A, B, C


@pytest.mark.parametrize("folder", [FOLDER, "sessions/2026/11/23", "sessions", "sessions/else/where"])
def test_locate_finds_a_rollout_in_any_folder_of_sessions(store: RolloutStore, folder: str) -> None:
    path = PATH_A.replace(FOLDER, folder)
    assert store.locate(A) == []
    store.create(RolloutRef(path), b"not even json")
    assert [file.path for file in store.locate(A)] == [path]
    assert store.locate(B) == []


def test_locate_finds_ids_without_a_time_in_them(store: RolloutStore) -> None:
    odd = "9f1c9dd2-1111-4222-8333-444455556666"
    store.create(RolloutRef(f"{FOLDER}/rollout-2020-01-01T00-00-00-{odd}.jsonl"), META)
    assert [file.thread_id for file in store.locate(odd)] == [odd]


def test_locate_gives_active_before_archived(store: RolloutStore) -> None:
    store.create(RolloutRef(ARCHIVED_A), META)
    store.create(RolloutRef(PATH_A), META)
    assert [file.path for file in store.locate(A)] == [PATH_A, ARCHIVED_A]


def test_locate_gives_the_rollouts_of_a_thread_with_the_current_one_first(store: RolloutStore) -> None:
    """A revert begins a rollout in the folder of its own day."""
    first, second = (PATH_A.replace(A, f"{A}_{revert}") for revert in (B, C))
    second = second.replace("/11/22/", "/12/01/")
    for path in (first, PATH_A, second):
        store.create(RolloutRef(path), META)
    assert [file.path for file in store.locate(A)] == [second, first, PATH_A]
    move_one(store, second, archived=True)
    assert [file.path for file in store.locate(A)][1:] == [first, PATH_A]
    assert store.locate(B) == []


def test_locate_rollout_finds_one_rollout_wherever_it_lies(store: RolloutStore) -> None:
    revert = PATH_A.replace(A, f"{A}_{B}").replace(FOLDER, "sessions/elsewhere")
    for path in (PATH_A, revert):
        store.create(RolloutRef(path), META)
    assert [file.path for file in store.locate_rollout(A)] == [PATH_A]
    assert [file.path for file in store.locate_rollout(B)] == [revert]
    move_one(store, PATH_A, archived=True)
    assert [file.path for file in store.locate_rollout(A)] == [ARCHIVED_A]
    assert store.locate_rollout(C) == store.locate_rollout("nonsense") == []


def test_locate_of_nonsense_finds_nothing(store: RolloutStore) -> None:
    assert store.locate("nonsense") == []
