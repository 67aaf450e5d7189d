"""The benchmark itself works: on a tiny home, without Codex, every case is measured, judged and drawn."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks.measure import Measurement, Side, faster, flat, near, run_of, verdicts, within
from tests.benchmarks.report import Report
from tests.benchmarks.run import Plan, facts, run
from tests.benchmarks.table import CASES


@pytest.mark.anyio
@pytest.mark.timeout(400)
async def test_every_case_is_measured_and_reported_without_codex(tmp_path: Path) -> None:
    plan = Plan([60, 80], tmp_path / "work", most_rounds=1, long_lines=200, tree=8, huge_mb=6, seconds=0.1)
    taken = await run(plan, lambda _: None)
    assert {one.case for one in taken} == {case.name for case in CASES}
    assert [(one.case, one.failures) for one in taken if one.failures] == []
    assert all(one.samples["ours"] for one in taken)
    lists = [one for one in taken if one.case.startswith("thread_list of")]
    assert {one.size for one in lists if "small" in one.samples} == {80}
    assert len(lists) == 2 * len({one.case for one in lists})
    Report(facts(""), taken).write(tmp_path / "out")
    table = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert all(f"| {one.case} | " in table for one in taken)
    held = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert len(held["measurements"]) == len(taken)
    picture = ElementTree.parse(tmp_path / "out" / "plot.svg").getroot()
    assert picture.tag.endswith("svg")
    assert not list((tmp_path / "work").iterdir())


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
