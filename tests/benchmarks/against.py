"""Our server beside that of an earlier commit: one call of either is a pair, on the same bytes, in an order that chance
gives. What slows the machine for a while slows both, so a row's ratio is the median of the ratios of its pairs. And
each row gets its pairs a few at a time, in turn with all others, so that no busy second is any row's alone.
"""

from __future__ import annotations

import io
import math
import statistics
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

from tests.benchmarks.lab import Case, Lab
from tests.benchmarks.measure import Measurement, Side
from tests.benchmarks.report import NAMES, shown
from tests.benchmarks.sides import CHECKOUT

SLOWER = 1.2
"""How many times as long as the old server a row may take."""

_PAIRS = {"start": 1, "call": 2}
"""How many pairs a row gets at a time."""
_LONGER = {"start": 4, "call": 1}
"""How many times the seconds a case may take: a start takes as long as a hundred calls."""
_MOST_PAIRS = 60

_SIDES: tuple[Side, Side] = ("old", "ours")
_HEADER = ("| case | old | new | new / old | 99 % | pairs | |", "|---|--:|--:|--:|--:|--:|---|")


def files_of(commit: str, folder: Path) -> Path:
    """Put the files of a commit into a folder. They are unpacked from an archive, so the repository keeps no trace.

    Raises:
        CalledProcessError: git knows no such commit.
        RuntimeError: Python would not import the package from there.
    """
    packed = subprocess.run(["git", "archive", commit], cwd=CHECKOUT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    # So that neither side compiles in its first round.
    for checkout in (folder, CHECKOUT):
        subprocess.run([sys.executable, "-m", "compileall", "-q", "mcp_server"], cwd=checkout, check=True)
    seen = ["-c", "import mcp_server; print(mcp_server.__file__)"]
    found = subprocess.run([sys.executable, *seen], cwd=folder, check=True, capture_output=True, text=True).stdout
    if not Path(found.strip()).is_relative_to(folder.resolve()):
        raise RuntimeError(f"the package is imported from {found.strip()}, not from {folder}")
    return folder


async def pairs(lab: Lab, cases: Sequence[Case], seconds: float, tell: Callable[[str], None]) -> list[Measurement]:
    """Take pairs of all cases in turn, until the time is up, which is `seconds` a case. A row that is fast enough
    without doubt gets no more; one that seems slow goes on, since some of fifty rows look slow for a while by chance.
    What is measured in megabytes hardly varies, and has as many pairs as its case has rounds."""
    taken = [Measurement(case.name, lab.size, case.unit, home=lab.title(case)) for case in cases]
    numbers = [0] * len(cases)
    deadline = time.monotonic() + seconds * sum(_LONGER[case.phase] for case in cases)
    open_rows = list(range(len(cases)))
    while open_rows and (time.monotonic() < deadline or not all(numbers)):
        for row in open_rows:
            case, one = cases[row], taken[row]
            if case.phase == "call" and numbers[row] == 0 and case.rounds > 1:
                await lab.round(case, 0, one)
                one.samples.clear()  # it was to warm up
                numbers[row] = 1
            for _ in range(min(_PAIRS[case.phase], case.rounds)):
                await lab.round(case, numbers[row], one)
                numbers[row] += 1
        open_rows = [row for row in open_rows if not _clear(cases[row], taken[row])]
        tell(f"{len(open_rows)} of {len(cases)} rows are open, {max(0.0, deadline - time.monotonic()):.0f} s are left")
    return taken


def _clear(case: Case, one: Measurement) -> bool:
    """Whether a row needs no more pairs."""
    count = len(one.pair_ratios())
    if one.failures or count >= _MOST_PAIRS or (one.unit == "MB" and count >= case.rounds):
        return True
    return bounds(one.pair_ratios())[1] < SLOWER


def bounds(ratios: Sequence[float]) -> tuple[float, float]:
    """Where the true median lies, with 99 %: between two of the values, by the sign test. Fewer than eight tell
    nothing."""
    count, ordered = len(ratios), sorted(ratios)
    outside, rank = 0.0, 0
    while (outside := outside + math.comb(count, rank) / 2**count) <= 0.005:
        rank += 1
    return (ordered[rank - 1], ordered[-rank]) if rank else (0.0, math.inf)


def ratio(one: Measurement) -> float | None:
    """How many times as long we take as the old server; None if there is no pair."""
    ratios = one.pair_ratios()
    return statistics.median(ratios) if ratios else None


def verdict(one: Measurement) -> Literal["ok", "SLOWER", "unsure", "failed"]:
    """`SLOWER`: the median is above the bound, and that the new server is slower is no chance. `unsure`: it may be."""
    if one.failures:
        return "failed"
    found = ratio(one)
    if found is None or found <= SLOWER:
        return "ok"
    return "SLOWER" if one.unit == "MB" or bounds(one.pair_ratios())[0] > 1 else "unsure"


def comparison(commit: str, facts: dict[str, str], measurements: Sequence[Measurement]) -> str:
    """The table, in Markdown."""
    about = ", ".join(f"{name} {value}" for name, value in facts.items())
    parts = [f"# This checkout against {commit}", "", about, ""]
    for home, group in groupby(measurements, key=lambda one: one.home):
        parts += [f"## {home}", "", *_HEADER, *map(_row, group), ""]
    counts = Counter(map(verdict, measurements))
    summed = ", ".join(f"{counts[word]} {word}" for word in ("ok", "SLOWER", "unsure", "failed"))
    return "\n".join([*parts, f"{len(measurements)} rows against {SLOWER:g}: {summed}"])


def _row(one: Measurement) -> str:
    found, (low, high) = ratio(one), bounds(one.pair_ratios())
    cells = [one.case, *(f"{shown(one.median(side))} {one.unit}" for side in _SIDES)]
    cells += ["" if found is None else f"{found:.2f}", f"{low:.2f} to {high:.2f}" if low else ""]
    cells += [str(len(one.pair_ratios())), verdict(one)]
    cells[-1] += "".join(f"; {NAMES[side]}: {reason.replace('|', '/')}" for side, reason in one.failures.items())
    return f"| {' | '.join(cells)} |"
