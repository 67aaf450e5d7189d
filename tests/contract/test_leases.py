"""One writer a thread: what every home does with leases."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from mcp_server.errors import ActiveWriter, InvalidThreadId
from mcp_server.storage.contracts import Leases

A = "01a20581-47b4-7322-81ec-5e29ff6d3d2a"
B = "01a20581-4890-7983-8be5-092be3fbf749"
C = "01a20581-4890-7983-8be5-092be3fbf74c"
D = "01a20581-4890-7983-8be5-092be3fbf74d"

Owner = Callable[[], Leases]


def test_acquire_takes_the_lock_and_release_gives_it_back(owner: Owner) -> None:
    one = owner()
    assert one.held() == frozenset()
    one.acquire([A])
    assert one.held() == {A}
    one.release([A])
    assert one.held() == frozenset()
    one.acquire([A])
    one.release([A])


def test_a_second_owner_is_refused_and_told_who_holds_the_lock(owner: Owner) -> None:
    """create_thread_rejects_duplicate_live_writer, resume_thread_rejects_duplicate_live_writer"""
    one, two = owner(), owner()
    one.acquire([A])
    with pytest.raises(ActiveWriter, match=f"thread {A} already has an active writer: ") as refused:
        two.acquire([A])
    if sys.platform == "linux":
        assert f"(pid {os.getpid()}) since 20" in refused.value.holder
    assert (one.held(), two.held()) == ({A}, frozenset())
    one.release([A])
    two.acquire([A])
    two.release([A])


def test_locks_of_other_threads_are_untouched(owner: Owner) -> None:
    one, two = owner(), owner()
    one.acquire([A])
    two.acquire([B])
    one.release([A])
    assert two.held() == {B}
    with pytest.raises(ActiveWriter):
        one.acquire([B])
    two.release([B])


def test_release_of_what_is_not_held_is_fine_and_takes_nothing_from_others(owner: Owner) -> None:
    one, two = owner(), owner()
    one.release([A])
    two.acquire([A])
    one.release([A])
    with pytest.raises(ActiveWriter):
        one.acquire([A])
    two.release([A])


def test_taking_a_lock_twice_is_an_error_of_the_program(owner: Owner) -> None:
    one = owner()
    one.acquire([A])
    with pytest.raises(RuntimeError, match="held already"):
        one.acquire([A])
    assert one.held() == {A}
    one.release([A])


def test_holder_is_none_for_a_free_lock_and_for_our_own(owner: Owner) -> None:
    one, two = owner(), owner()
    assert one.foreign().get(A) is None
    one.acquire([A])
    assert one.foreign().get(A) is None
    assert two.foreign().get(A) is not None
    one.release([A])
    assert two.foreign().get(A) is None


def test_foreign_lists_the_locks_of_others_alone(owner: Owner) -> None:
    one, two = owner(), owner()
    assert one.foreign() == {}
    one.acquire([A])
    two.acquire([B])
    assert set(one.foreign()) == {B}
    assert set(two.foreign()) == {A}
    two.release([B])
    assert one.foreign() == {}
    one.release([A])


def test_foreign_tells_of_the_threads_that_are_asked_for_alone(owner: Owner) -> None:
    one, two = owner(), owner()
    one.acquire([A, B])
    assert set(two.foreign([A, C])) == {A}
    assert two.foreign([C]) == two.foreign([]) == one.foreign([A]) == {}
    one.release([A, B])


def test_many_locks_are_taken_all_or_none(owner: Owner) -> None:
    one, two = owner(), owner()
    two.acquire([B])
    with pytest.raises(ActiveWriter, match=B):
        one.acquire([A, B, C])
    assert one.held() == frozenset()
    two.acquire([A])  # given back
    two.release([A, B])
    one.acquire([A, B, C])
    assert one.held() == {A, B, C}
    assert [one.foreign().get(thread_id) for thread_id in (A, B)] == [None, None]
    one.release([A])
    one.release([B, C])
    two.acquire([A, B, C])
    two.release([A, B, C])
    assert (one.held(), two.held()) == (frozenset(), frozenset())


def test_beside_many_locks_another_is_taken_and_none_of_them_again(owner: Owner) -> None:
    one = owner()
    one.acquire([A, B])
    one.acquire([C])
    for again in ([A], [D, B], [D, C]):
        with pytest.raises(RuntimeError, match="held already"):
            one.acquire(again)
    with pytest.raises(RuntimeError, match="held already"):
        one.acquire([A])
    assert one.held() == {A, B, C}
    one.release([C])
    one.release([A, B])


def test_an_id_that_is_no_uuid_never_reaches_a_path(owner: Owner) -> None:
    with pytest.raises(InvalidThreadId):
        owner().acquire(["../../x"])
