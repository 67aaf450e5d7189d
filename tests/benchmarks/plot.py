"""The picture of a run: what a person or an agent waits for, on its largest home, beside Codex. One screen.

    python -m tests.benchmarks.plot DIR

draws DIR/benchmark.svg and DIR/benchmark.md again from DIR/benchmark.json, which a run has left there.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

from tests.benchmarks.record import Record, Row, shown, times

ROWS = {
    "first start to first list": "First start, until the first list",
    "second start to first list": "Later start, until the first list",
    "thread_list, default": "A page of a list",
    "thread_list, oldest first": "List, oldest first",
    "thread_list, one cwd of ten": "List of one project",
    "thread_search, rare term": "Search for a rare word",
    "thread_search, common term": "Search for a common word",
    "thread_read, 20 turns of a long thread": "Read 20 turns of a long thread",
    "thread_resume of a long thread": "Resume a long thread",
    "thread_fork of a long thread": "Fork a long thread",
    "thread_archive, one": "Archive a thread",
    "thread_archive, a tree": "Archive a tree of 1,000 sub-agents",
}
"""The cases that are drawn, with their labels."""

_WIDTH, _LEFT, _PLOT = 830, 260, 506
_TOP, _ROW, _BAR = 64, 38, 14
_LEAST_MS, _DECADES = 1.0, 5
_STYLE = """\
text{font:13px system-ui,sans-serif;fill:#14171c}.title{font-size:15px;font-weight:600}
.quiet{font-size:11px;fill:#626a77}.on{font-size:11px;font-weight:600;fill:#fff}.end{text-anchor:end}.middle{text-anchor:middle}
line{stroke:#e7e9ed}.page{fill:#fff}.ours{fill:#2a4fca}.codex{fill:#626a77}
@media(prefers-color-scheme:dark){.page{fill:#131518}text{fill:#e9ebee}.quiet{fill:#8f97a4}.on{fill:#fff}
line{stroke:#262a30}.ours{fill:#3f63de}}"""


def write(record: Record, folder: Path) -> None:
    """Put benchmark.json, benchmark.md and benchmark.svg into a folder."""
    for ending, text in (("json", record.json()), ("md", record.markdown()), ("svg", picture(record))):
        (folder / f"benchmark.{ending}").write_text(text, encoding="utf-8")


def picture(record: Record) -> str:
    """An SVG, for light and dark pages. On the longer bar of each row stands how many times as long that side takes."""
    size = max((row.size for row in record.rows if row.case in ROWS), default=0)
    found = {row.case: row for row in record.rows if row.size == size}
    rows = [(label, found[case]) for case, label in ROWS.items() if case in found]
    height = _TOP + _ROW * len(rows) + 34
    parts = [*_head(size), *_axis(height)]
    for number, (label, row) in enumerate(rows):
        parts += _bars(_TOP + _ROW * number, label, row)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">\n'
        f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" class="page"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _head(size: int) -> Iterator[str]:
    yield _text(16, 26, f"How long a client waits, with {size:,} threads", "title")
    for x, side, name in ((_LEFT, "codex", "Codex"), (_LEFT + 80, "ours", "Threadstore")):
        yield f'<rect x="{x}" y="40" width="11" height="11" rx="2" class="{side}"/>{_text(x + 17, 50, name)}'


def _axis(height: int) -> Iterator[str]:
    for power in range(_DECADES + 1):
        value = _LEAST_MS * 10**power
        name = f"{value:.0f} ms" if value < 1_000 else f"{value / 1_000:.0f} s"
        x = _x(value)
        yield f'<line x1="{x:.1f}" y1="{_TOP - 4}" x2="{x:.1f}" y2="{height - 30}"/>'
        yield _text(x, height - 14, name, "quiet middle")


def _bars(y: float, label: str, row: Row) -> Iterator[str]:
    yield _text(_LEFT - 12, y + _BAR + 4, label, "end")
    for place, side in enumerate(("codex", "ours")):
        if side not in row.medians:
            continue
        top, end = y + place * (_BAR + 1), _x(row.medians[side])
        yield f'<rect x="{_LEFT}" y="{top}" width="{end - _LEFT:.1f}" height="{_BAR}" rx="2" class="{side}"/>'
        yield _text(end + 5, top + 11, shown(row.medians[side], row.unit), "quiet")
        if said := _said(row, side):
            yield _text(end - 7, top + 11, said, "on end")


def _said(row: Row, side: str) -> str | None:
    """What stands on the bar of a side, if it is the longer one."""
    ratio = row.ratio("codex", "ours")
    if ratio is None or (ratio >= 1) != (side == "codex"):
        return None
    return f"{times(max(ratio, 1 / ratio))} times as long"


def _x(milliseconds: float) -> float:
    return _LEFT + _PLOT * max(0.0, math.log10(milliseconds / _LEAST_MS)) / _DECADES


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>'


if __name__ == "__main__":
    write(Record.load(Path(sys.argv[1]) / "benchmark.json"), Path(sys.argv[1]))
