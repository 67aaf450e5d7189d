"""The benchmark itself works, on a tiny home, without Codex."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks.against import files_of, ratio, verdict
from tests.benchmarks.report import Report
from tests.benchmarks.run import Plan, facts, run
from tests.benchmarks.table import CASES

pytestmark = pytest.mark.nightly


@pytest.mark.anyio
@pytest.mark.timeout(400)
async def test_every_case_is_measured_and_reported_without_codex(tmp_path: Path) -> None:
    plan = Plan([60, 80], tmp_path / "work", most_rounds=1, long_lines=200, tree=8, huge_mb=6, seconds=0.1)
    taken = await run(plan, lambda _: None)
    assert {one.case for one in taken} == {case.name for case in CASES}
    assert [(one.case, one.failures) for one in taken if one.failures] == []
    assert all(one.samples["ours"] for one in taken)
    lists = [one for one in taken if one.case.startswith("thread_list,")]
    assert {one.size for one in lists if "small" in one.samples} == {80}
    assert len(lists) == 2 * len({one.case for one in lists})
    Report(facts(""), taken).write(tmp_path / "out")
    table = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert all(f"| {one.case} | " in table for one in taken)
    held = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert len(held["measurements"]) == len(taken)
    picture = ElementTree.parse(tmp_path / "out" / "benchmark.svg").getroot()
    assert picture.tag.endswith("svg")
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.anyio
@pytest.mark.timeout(400)
async def test_a_commit_is_as_fast_as_itself_and_faster_than_one_that_sleeps(tmp_path: Path) -> None:
    old = files_of("HEAD", tmp_path / "commit")
    plan = Plan([60], tmp_path, old=old, long_lines=200, tree=8, huge_mb=6, seconds=4)
    same = await run(replace(plan, only="thread_l"), lambda _: None)
    assert [one.case for one in same if verdict(one) in ("SLOWER", "failed")] == []
    assert 0.8 < statistics.median(filter(None, map(ratio, same))) < 1.25

    with (old / "mcp_server/__init__.py").open("a") as package:
        package.write("import time\n\ntime.sleep(1)\n")
    (start,) = await run(replace(plan, only="handshake, second start"), lambda _: None)
    assert (ratio(start) or 1) < 0.8
