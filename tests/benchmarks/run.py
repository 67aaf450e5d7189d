"""The benchmark: our server, the bare one and, where CODEX_BIN names it, Codex's app-server, side by side on homes of
several sizes. Writes report.md, results.json and the record of both that `manifests/` keeps: benchmark.*.

    python -m tests.benchmarks --out DIR [--threads 1000,10000,100000] [--quick] [--only WORDS]

Or our server and that of an earlier commit, in pairs on the same bytes. Prints a row a case; fails if one is slower.

    python -m tests.benchmarks --against COMMIT [--quick] [--threads 1000] [--only WORDS]

CODEX_BIN is best the native binary: the launcher that npm puts before it adds its own start and memory. Homes are made
in --work (default: a temporary folder) and take about 10 KB a thread for each side. Memory is told on Linux alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import anyio

from tests.benchmarks import calls, changes, starts
from tests.benchmarks.against import comparison, files_of, pairs, verdict
from tests.benchmarks.homes import Shape, make_home
from tests.benchmarks.lab import Case, Lab
from tests.benchmarks.measure import Measurement
from tests.benchmarks.report import Report
from tests.benchmarks.table import CASES, LONG_THREADS, TREE

LARGE_THREADS = 100
# The table is filled by importing these.
_FILLED_BY = (starts, calls, changes)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does. `seconds` bound each case; the case in hand still ends its second round."""

    sizes: Sequence[int]
    work: Path
    binary: str = ""
    old: Path | None = None
    """The files of the commit to compare with, instead of all others."""
    only: str = ""
    most_rounds: int = 100
    long_lines: int = 10_000
    tree: int = TREE
    huge_mb: int = 400
    seconds: float = 60.0

    def cases(self, home: str) -> list[Case]:
        return [case for case in CASES if case.home == home and self.only.lower() in case.name.lower()]

    def rounds(self, case: Case) -> int:
        return min(case.rounds, self.most_rounds)

    def shape(self, size: int) -> Shape:
        return Shape(
            size,
            archived=max(60, size // 100),
            tree=self.tree,
            long=LONG_THREADS,
            long_lines=self.long_lines,
        )

    def large_shape(self) -> Shape:
        return Shape(LARGE_THREADS, tree=4, long=1, long_lines=self.long_lines, huge_mb=self.huge_mb)


async def run(plan: Plan, tell: Callable[[str], None]) -> list[Measurement]:
    """Measure every case on every home; the homes are removed when they are done with, the smallest at the end."""
    taken: list[Measurement] = []
    with ExitStack() as run_end:
        small: Lab | None = None
        for size in plan.sizes if plan.cases("sized") else ():
            with ExitStack() as end:
                lab = _lab(plan, size, "sized", plan.shape(size), tell, end if small else run_end)
                lab.small = None if plan.old else small
                taken += await _on_home(plan, lab, "sized", tell)
                small = small or lab
        if plan.cases("large"):
            lab = _lab(plan, LARGE_THREADS, "large", plan.large_shape(), tell, run_end)
            taken += await _on_home(plan, lab, "large", tell)
    return taken


def _lab(plan: Plan, size: int, kind: str, shape: Shape, tell: Callable[[str], None], end: ExitStack) -> Lab:
    """A lab with its homes, which go at the end."""
    tell(f"making {'two homes' if plan.binary or plan.old else 'a home'} of {size:,} threads")
    folder = plan.work / f"{kind}-{size}"
    end.callback(shutil.rmtree, folder, ignore_errors=True)
    lab = Lab(size, make_home(folder / "ours", shape))
    if plan.old is not None:
        lab.old = Lab(size, make_home(folder / "old", shape), checkout=plan.old)
    elif plan.binary:
        lab.codex_home, lab.binary = make_home(folder / "codex", shape), plan.binary
    return lab


async def _on_home(plan: Plan, lab: Lab, kind: str, tell: Callable[[str], None]) -> list[Measurement]:
    cases = plan.cases(kind)
    taken = await _take_all(plan, lab, [case for case in cases if case.phase == "start"], tell)
    later = [case for case in cases if case.phase == "call"]
    if later:
        async with lab.running():
            for one in (lab, lab.old) if lab.old else (lab,):
                await calls.prepare_searches(one)
                await calls.prepare_lists(one)
                await changes.prepare_turns(one)
            taken += await _take_all(plan, lab, later, tell)
    return taken


async def _take_all(plan: Plan, lab: Lab, cases: Sequence[Case], tell: Callable[[str], None]) -> list[Measurement]:
    if lab.old is not None:
        return await pairs(lab, cases, plan.seconds, tell)
    return [await _take(plan, lab, case, tell) for case in cases]


async def _take(plan: Plan, lab: Lab, case: Case, tell: Callable[[str], None]) -> Measurement:
    taken = await lab.take(case, rounds=plan.rounds(case), seconds=plan.seconds)
    shown = (f"{side} {taken.median(side):,.1f}" for side in taken.samples)
    failed = (f"{side} failed: {reason}" for side, reason in taken.failures.items())
    tell(f"{lab.size:>7,}  {case.name}: {', '.join((*shown, *failed))} {case.unit}")
    return taken


def facts(binary: str) -> dict[str, str]:
    """What the numbers depend on."""
    found = {
        "threadstore": version("threadstore"),
        "mcp": version("mcp"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    if binary:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
        found["codex"] = next(iter(re.findall(r"\d+\.\d+\.\d+\S*", told)), "unknown")
    return found


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="folder for the report")
    what.add_argument("--against", metavar="COMMIT", help="compare with our server of this commit")
    parser.add_argument("--threads", help="threads of each home, commas between (default: 1000,10000,100000)")
    parser.add_argument("--work", type=Path, default=None, help="folder for the homes (default: a temporary one)")
    parser.add_argument("--only", default="", help="only cases with this in their names")
    parser.add_argument("--quick", action="store_true", help="few rounds a case, a huge thread of 40 MB")
    parser.add_argument("--seconds", type=float, default=None, help="bound for the rounds of one case")
    parser.add_argument("--long-lines", type=int, default=10_000, help="lines of a long thread")
    parser.add_argument("--tree", type=int, default=TREE, help="sub-agents in the tree")
    options = parser.parse_args(arguments)
    threads: str = options.threads or ("1000" if options.quick else "1000,10000,100000")
    binary = "" if options.against else os.environ.get("CODEX_BIN", "")
    with tempfile.TemporaryDirectory(dir=options.work, prefix="bench-") as folder:
        work = Path(folder)
        plan = Plan(
            sizes=sorted({int(size) for size in threads.split(",")}),
            work=work,
            binary=binary,
            old=files_of(options.against, work / "commit") if options.against else None,
            only=options.only,
            most_rounds=3 if options.quick else 100,
            long_lines=options.long_lines,
            tree=options.tree,
            huge_mb=40 if options.quick else 400,
            seconds=options.seconds or (3.0 if options.quick else 20.0 if options.against else 60.0),
        )
        about = facts(binary)
        measurements = anyio.run(run, plan, _tell)
    if options.against:
        print(comparison(options.against, about, measurements))
        return 1 if {"SLOWER", "failed"} & set(map(verdict, measurements)) else 0
    report = Report(about, measurements)
    report.write(options.out)
    print(report.summary())
    return 0
