"""How far back a half-built index is complete: no rollout that is left may say that it is newer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from homes import A, B, C
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex.paths import is_archived, recorded_time_ms
from mcp_server.models.records import ALL_ACTIVE
from mcp_server.sync.backfill import BackfillWatermark

HOUR_MS = 3_600_000
SLACK_MS = 13 * HOUR_MS


def path(stamp: str, key: str = A, folder: str = "sessions/2026/01/02") -> str:
    return f"{folder}/rollout-{stamp}-{key}.jsonl"


def at(stamp: str) -> int:
    ms = recorded_time_ms(stamp)
    assert ms is not None
    return ms


def horizons(paths: Sequence[str], every: int = 1) -> list[int | None]:
    """At the beginning, and after each of the paths."""
    coverage = BackfillWatermark(lambda: iter(paths), every)
    assert coverage.found == len(paths)
    return [coverage.complete_since(done) for done in (None, *paths)]


def test_the_watermark_is_the_newest_name_left_and_what_time_zones_may_add() -> None:
    paths = [path("2026-01-02T03-00-00", C), path("2026-01-02T01-00-00", B), path("2026-01-01T00-00-00", A)]
    newest, second, third, after_all = horizons(paths)
    assert newest == at("2026-01-02T03-00-00") + SLACK_MS
    assert second == at("2026-01-02T01-00-00") + SLACK_MS
    assert third == at("2026-01-01T00-00-00") + SLACK_MS
    assert after_all == ALL_ACTIVE


def test_archived_files_that_are_left_hold_nothing_up() -> None:
    paths = [path("2026-01-01T00-00-00"), path("2027-01-01T00-00-00", B, "archived_sessions")]
    assert horizons(paths)[1] == ALL_ACTIVE


def test_a_file_whose_name_tells_no_time_holds_everything_up() -> None:
    assert horizons([path("by-hand", B), path("2026-01-01T00-00-00")]) == [
        None,
        at("2026-01-01T00-00-00") + SLACK_MS,
        ALL_ACTIVE,
    ]


@pytest.mark.parametrize("other", ["sessions/2026/03/01", "sessions/2026/01/03"])
def test_a_thread_with_two_files_is_settled_when_its_last_active_one_is_done(other: str) -> None:
    paths = [path("2026-03-01T00-00-00", folder=other), path("2020-01-01T00-00-00")]
    assert horizons(paths)[1:] == [at("2026-03-01T00-00-00") + SLACK_MS, ALL_ACTIVE]


@pytest.mark.parametrize("other", [A.upper(), A.replace("-", ""), f"abc-{A.replace('-', '')}", f"{A}_{B}"])
def test_a_thread_with_two_files_is_known_however_its_id_is_written(other: str) -> None:
    paths = [path("2026-03-01T00-00-00", other), path("2020-01-01T00-00-00")]
    assert horizons(paths)[1:] == [at("2026-03-01T00-00-00") + SLACK_MS, ALL_ACTIVE]


def test_a_batch_counts_as_left_until_its_last_path_is_done() -> None:
    times = [f"2026-01-02T{hour:02}-00-00" for hour in (5, 4, 3, 2)]
    paths = [path(stamp, key) for stamp, key in zip(times, (A, B, C, "odd"), strict=True)]
    first, third = (at(times[place]) + SLACK_MS for place in (0, 2))
    assert horizons(paths, every=2) == [first, first, third, third, ALL_ACTIVE]


def test_the_watermark_counts_the_paths_done() -> None:
    paths = [path("2026-01-02T03-00-00", C), path("2026-01-02T01-00-00", B), path("2026-01-01T00-00-00", A)]
    coverage = BackfillWatermark(lambda: iter(paths))
    assert [coverage.count_done(done) for done in paths] == [1, 2, 3]


@given(st.sets(st.tuples(st.integers(0, 23), st.sampled_from((A, B, C)), st.booleans()), max_size=8), st.integers(1, 4))
def test_the_watermark_never_lies_before_an_active_file_that_is_left(
    rows: set[tuple[int, str, bool]], every: int
) -> None:
    paths = sorted(
        (
            path(f"2026-01-02T{hour:02}-00-00", key, "archived_sessions" if archived else "sessions/2026/01/02")
            for hour, key, archived in rows
        ),
        reverse=True,
    )
    for done, after in enumerate(horizons(paths, every)):
        left = [at(one.split("rollout-")[1][:19]) for one in paths[done:] if not is_archived(one)]
        assert after is not None
        assert all(created_ms < after for created_ms in left)
