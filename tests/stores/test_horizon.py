"""How far back a half-built index is complete: no rollout that is left may say that it is newer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.models.thread import FileStamp
from mcp_server.stores.adopt import newest_first
from mcp_server.stores.base import RolloutFile
from mcp_server.stores.horizon import ALL_ACTIVE, Horizon
from mcp_server.stores.naming import parse_time_ms

HOUR_MS = 3_600_000


def file(stamp: str, key: str = "a", folder: str = "sessions/2026/01/02") -> RolloutFile:
    return RolloutFile(f"{folder}/rollout-{stamp}-{key}.jsonl", key, folder != "sessions/2026/01/02", FileStamp(1, 1))


def at(stamp: str) -> int:
    ms = parse_time_ms(stamp)
    assert ms is not None
    return ms


def test_it_is_the_newest_name_that_is_left_and_what_time_zones_may_add() -> None:
    files = [file("2026-01-02T03-00-00", "c"), file("2026-01-01T00-00-00", "b"), file("2026-01-02T01-00-00", "a")]
    horizon = Horizon(files)
    assert horizon.after(0) == at("2026-01-02T03-00-00") + 13 * HOUR_MS
    assert horizon.after(1) == horizon.after(2) == at("2026-01-02T01-00-00") + 13 * HOUR_MS
    assert horizon.after(3) == ALL_ACTIVE


def test_archived_files_that_are_left_hold_nothing_up() -> None:
    horizon = Horizon([file("2026-01-01T00-00-00"), file("2027-01-01T00-00-00", "b", "archived_sessions")])
    assert horizon.after(1) == ALL_ACTIVE


def test_a_file_whose_name_tells_no_time_holds_everything_up() -> None:
    horizon = Horizon([file("2026-01-01T00-00-00"), file("by-hand", "b")])
    assert [horizon.after(0), horizon.after(1), horizon.after(2)] == [None, None, ALL_ACTIVE]


@pytest.mark.parametrize("other", ["sessions/2026/01/02", "archived_sessions"])
def test_a_thread_with_two_files_is_settled_when_its_last_active_one_is_done(other: str) -> None:
    first, second = file("2026-03-01T00-00-00", folder=other), file("2020-01-01T00-00-00")
    horizon = Horizon([first, second])
    assert horizon.after(1) == at("2026-03-01T00-00-00") + 13 * HOUR_MS
    assert horizon.after(2) == ALL_ACTIVE


@given(st.lists(st.tuples(st.integers(0, 23), st.sampled_from("abc"), st.booleans()), max_size=8))
def test_it_never_lies_before_an_active_file_that_is_left(rows: list[tuple[int, str, bool]]) -> None:
    files = newest_first(
        file(f"2026-01-02T{hour:02}-00-00", key, "archived_sessions" if archived else "sessions/2026/01/02")
        for hour, key, archived in rows
    )
    horizon = Horizon(files)
    for done in range(len(files) + 1):
        after = horizon.after(done)
        left = [at(one.path.split("rollout-")[1][:19]) for one in files[done:] if not one.archived]
        assert after is not None
        assert all(created_ms < after for created_ms in left)
