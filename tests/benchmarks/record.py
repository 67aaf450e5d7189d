"""What the repository keeps of a run: its medians, and the table of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from tests.benchmarks.measure import Measurement, Side, Unit

NAMES: dict[Side, str] = {
    "ours": "ours",
    "bare": "bare server",
    "codex": "Codex",
    "codex_db": "Codex, database alone",
}
_NOTES = """\
Medians, as a client of the SDK sees them. The bare server is the same SDK with an empty tool. "Database alone" is Codex
with `useStateDbOnly`. All sides take turns, each on its own copy of the home.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One case on one home: the median of each side, in its unit."""

    home: str
    size: int
    case: str
    unit: Unit
    medians: dict[Side, float]

    def ratio(self, over: Side, under: Side) -> float | None:
        """How many times as long one side takes as another; None where one is missing."""
        if over not in self.medians or under not in self.medians:
            return None
        return self.medians[over] / self.medians[under]


@dataclass(frozen=True, slots=True)
class Record:
    """The rows in the order in which they were taken; `facts` are what they depend on."""

    facts: dict[str, str]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, facts: dict[str, str], measurements: Iterable[Measurement]) -> Record:
        return cls(facts, tuple(map(_row_of, measurements)))

    @classmethod
    def load(cls, path: Path) -> Record:
        held = json.loads(path.read_text(encoding="utf-8"))
        return cls(held["facts"], tuple(Row(**row) for row in held["rows"]))

    def json(self) -> str:
        """A line for each row, so that two records can be compared line by line."""
        rows = (json.dumps(asdict(row)) for row in self.rows)
        return '{"facts": ' + json.dumps(self.facts) + ',\n"rows": [\n' + ",\n".join(rows) + "\n]}\n"

    def markdown(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        parts = ["# Benchmark", "", facts, "", _NOTES, "![Times beside Codex](benchmark.svg)", ""]
        header = ["case", *NAMES.values(), "Codex / ours", "ours / bare"]
        for home, rows in groupby(self.rows, key=lambda row: row.home):
            parts += [f"## {home}", "", _line(header), _line(["---", *["--:"] * (len(header) - 1)])]
            parts += [*map(_table_row, rows), ""]
        return "\n".join(parts)


def shown(value: float, unit: Unit) -> str:
    """A median with two or three digits, in the unit that people would say."""
    if unit == "ms" and value >= 1_000:
        return f"{value / 1_000:.1f} s" if value < 10_000 else f"{value / 1_000:.0f} s"
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def times(ratio: float) -> str:
    """A ratio with two or three digits."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"


def _row_of(one: Measurement) -> Row:
    medians: dict[Side, float] = {}
    for side in NAMES:
        if (median := one.median(side)) is not None:
            medians[side] = round(median, 2)
    return Row(one.home, one.size, one.case, one.unit, medians)


def _table_row(row: Row) -> str:
    values = (shown(row.medians[side], row.unit) if side in row.medians else "" for side in NAMES)
    ratios = (row.ratio("codex", "ours"), row.ratio("ours", "bare"))
    return _line([row.case, *values, *("" if ratio is None else times(ratio) for ratio in ratios)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
