"""What is said of the samples."""

from __future__ import annotations

import math

import pytest

from tests.benchmarks.against import bounds, comparison, verdict
from tests.benchmarks.measure import Measurement, Side, faster, flat, near, run_of, verdicts, within


def test_a_verdict_is_a_ratio_of_medians_and_binds_from_its_size_on() -> None:
    small = Measurement("list", 10, samples={"ours": [1.0], "bare": [1.0], "codex": [8.0]})
    targets = (faster("codex", 10, at=100), within(2), flat(1.5), near("read", 2))
    samples: dict[Side, list[float]] = {
        "ours": [1, 2, 9],
        "small": [1.0],
        "bare": [1.0],
        "unchecked": [1.8],
        "ready": [1.3],
        "codex": [30.0],
    }
    large = Measurement("list", 100, targets=targets, samples=samples)
    judged = verdicts(large, run_of([small, large]))
    assert [(one.ratio, one.met, one.binding) for one in judged] == [
        (15.0, True, True),
        (2.0, True, True),
        (2.0, False, True),
        (None, None, True),
    ]
    assert [one.best for one in judged] == [pytest.approx(20.0), None, None, None]
    shares = [large.own_work(), large.sdk_work(), large.client_check()]
    assert shares == pytest.approx([0.8, 0.3, 0.2])
    small.targets = targets
    assert [one.binding for one in verdicts(small, run_of([small]))] == [False, True, True, True]


def pairs(old: float, *new: float) -> Measurement:
    return Measurement("list", 10, samples={"ours": list(new), "old": [old] * len(new)})


def test_a_row_is_slower_than_an_earlier_commit_if_the_median_of_its_pairs_is_and_chance_is_unlikely() -> None:
    assert verdict(pairs(10, 11, 12, 9, 30, 11, 11)) == "ok"
    assert verdict(pairs(10, *[13] * 8)) == "SLOWER"
    assert verdict(pairs(10, *[13] * 7)) == "unsure", "seven pairs may all be chance"
    assert verdict(pairs(10, 13, 13, 13, 13, 9, 9, 9)) == "unsure"
    failed = pairs(10, 10)
    failed.failures["ours"] = "no answer"
    assert verdict(failed) == "failed"
    table = comparison("HEAD", {"python": "3.11"}, [pairs(10, *[13] * 8), failed])
    assert "| list | 10.0 ms | 13.0 ms | 1.30 | 1.30 to 1.30 | 8 | SLOWER |" in table
    assert table.endswith("2 rows against 1.2: 0 ok, 1 SLOWER, 0 unsure, 1 failed")


def test_the_bounds_of_a_median_are_those_of_the_sign_test() -> None:
    assert bounds([]) == (0.0, math.inf)
    assert bounds(range(1, 8)) == (0.0, math.inf)
    assert bounds([8, 1, 2, 3, 4, 5, 6, 7]) == (1, 8)
    assert bounds(range(1, 21)) == (4, 17)
