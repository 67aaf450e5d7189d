"""What a run has shown: a table in Markdown, all samples in JSON, and a picture in SVG."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from tests.benchmarks.measure import Measurement, Side, Verdict, run_of, verdicts
from tests.benchmarks.plot import write
from tests.benchmarks.record import Record

NAMES: dict[str, str] = {
    "ours": "ours",
    "old": "the earlier commit",
    "small": "ours, on the smallest home",
    "unchecked": "ours, unchecked",
    "bare": "bare",
    "ready": "bare, the answer ready",
    "codex": "Codex",
    "codex_db": "Codex useStateDbOnly",
}
_HEADER = (
    "| case | ours | p95 | bare | p95 | Codex | p95 | Codex / ours | ours / bare | own | SDK's | check | targets |",
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
)
_NOTES = """\
Medians and 95th percentiles in milliseconds (peak memory and disk: MB of 10^6 bytes), as the client sees them; the page
cache is warm. `bare` is the same SDK with an empty tool (in `turn_append` and one fsync), over the SDK's own streams.
`own` is what our server takes above that: less than nothing where waiting for a pipe without threads saves more than
the tool takes. `SDK's` is what the bare server takes above that if it has our answer ready: about so much of `own` goes
to the SDK on both sides. `best` is what a target is about with such a server. `check` is what the
SDK's client takes besides, to hold the answer against the tool's output schema. The sides take turns, in an order that
chance gives to each round, each on its own copy of the home. A target in brackets is asked of larger homes only.
"""


class Report:
    """The measurements of one run, in the order that they were taken; `facts` are what they depend on."""

    def __init__(self, facts: dict[str, str], measurements: Sequence[Measurement]) -> None:
        self._facts, self._measurements = facts, measurements
        self._run = run_of(list(measurements))

    def write(self, folder: Path) -> None:
        """Put report.md, results.json and what the repository keeps of them, benchmark.*, into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(self.markdown(), encoding="utf-8")
        (folder / "results.json").write_text(self.json(), encoding="utf-8")
        write(Record.of(self._facts, self._measurements), folder)

    def summary(self) -> str:
        """One line, and one for each target that is missed or could not be judged."""
        judged = [(one, verdict) for one in self._measurements for verdict in self._binding(one)]
        met = sum(verdict.met is True for _, verdict in judged)
        lines = [f"{met} of {len(judged)} targets met"]
        for one, verdict in judged:
            if not verdict.met:
                lines.append(f"- {one.home}: {one.case}: {sentence(verdict)}")
        return "\n".join([*lines, *self._failures()])

    def markdown(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts.items())
        parts = ["# Benchmark", "", facts, "", _NOTES, "![times](benchmark.svg)", "", self.summary(), ""]
        for home, group in groupby(self._measurements, key=lambda one: one.home):
            parts += [f"## {home}", "", *_HEADER, *(self._row(one) for one in group), ""]
        return "\n".join(parts)

    def json(self) -> str:
        rows = [
            {**asdict(one), "verdicts": [{**asdict(verdict), "met": verdict.met} for verdict in self._verdicts(one)]}
            for one in self._measurements
        ]
        return json.dumps({"facts": self._facts, "measurements": rows}, indent=1)

    # ------------------------------------------------------------------------------------------ parts

    def _verdicts(self, one: Measurement) -> list[Verdict]:
        # "Flat" says nothing of the smallest home.
        found = verdicts(one, self._run)
        return [verdict for verdict in found if verdict.target.kind != "flat" or verdict.ratio is not None]

    def _binding(self, one: Measurement) -> list[Verdict]:
        return [verdict for verdict in self._verdicts(one) if verdict.binding and not _without_codex(one, verdict)]

    def _row(self, one: Measurement) -> str:
        ours, floor, codex = (one.median(side) for side in ("ours", "bare", "codex"))
        cells = [one.case, *_pair(one, "ours"), *_pair(one, "bare"), *_pair(one, "codex")]
        cells += [_times(codex, ours), _times(ours, floor), shown(one.own_work())]
        cells += [shown(one.sdk_work()), shown(one.client_check())]
        return f"| {' | '.join((*cells, '; '.join(self._targets(one))))} |"

    def _targets(self, one: Measurement) -> Iterator[str]:
        for verdict in self._verdicts(one):
            if not _without_codex(one, verdict):
                text = sentence(verdict)
                yield text if verdict.binding else f"({text})"
        for side, reason in one.failures.items():
            yield f"{NAMES[side]} failed: {reason.replace('|', '/')}"

    def _failures(self) -> Iterator[str]:
        for one in self._measurements:
            for side, reason in one.failures.items():
                yield f"- {one.home}: {one.case}: {NAMES[side]} failed: {reason}"


def sentence(verdict: Verdict) -> str:
    """A verdict in words."""
    target = verdict.target
    than = NAMES.get(target.than, target.than)
    asked = {
        "faster": f"{than} / ours at least {target.factor:g}",
        "within": f"ours / {than} at most {target.factor:g}",
        "below": f"at most {target.factor:g}",
        "flat": f"at most {target.factor:g} times the smallest home",
        "near": f"at most {target.factor:g} times “{than}”",
        "own": f"own work at most {target.factor:g} ms",
    }[target.kind]
    stands = {True: "met", False: "**MISSED**", None: "not judged"}[verdict.met]
    best = "" if verdict.best is None else f" (best: {shown(verdict.best)})"
    return f"{stands}: {asked}, is {shown(verdict.ratio)}{best}"


def shown(value: float | None) -> str:
    """A number with three digits or so; nothing for nothing."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _pair(one: Measurement, side: Side) -> tuple[str, str]:
    return shown(one.median(side)), shown(one.p95(side))


def _times(over: float | None, under: float | None) -> str:
    return shown(over / under) if over is not None and under else ""


def _without_codex(one: Measurement, verdict: Verdict) -> bool:
    """Without CODEX_BIN nothing can be said of it, which is no failure of ours."""
    return verdict.target.kind == "faster" and not any(
        side.startswith("codex") for side in (*one.samples, *one.failures)
    )
