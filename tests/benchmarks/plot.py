"""The picture: one row a case, one mark a side, on a logarithmic scale of milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby

from tests.benchmarks.measure import Measurement, Side

_LOOK: dict[Side, tuple[str, str]] = {
    "bare": ("#8a8f98", "bare server"),
    "codex": ("#e07b39", "Codex"),
    "codex_db": ("#f2c14e", "Codex, useStateDbOnly"),
    "ours": ("#2563eb", "ours"),
}
_LEFT, _WIDTH, _ROW, _TOP = 330, 620, 19, 40
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600;font-size:14px}.s{fill:#656d76;font-size:11px}"
    ".m{fill:#c62828;font-weight:600}line{stroke:#d8dee4}"
)


def plot(measurements: Sequence[Measurement], missed: Callable[[Measurement], bool]) -> str:
    """An SVG. The line to the right of a mark ends at its 95th percentile; a red name has missed a target."""
    timed = [one for one in measurements if one.unit == "ms" and one.samples]
    values = [value for one in timed for side in one.samples for value in (one.median(side), one.p95(side)) if value]
    scale = _Scale(min(values, default=1.0), max(values, default=10.0))
    body: list[str] = []
    y = _TOP
    for home, group in groupby(timed, key=lambda one: one.home):
        rows = list(group)
        body += [_text(10, y, home, "t"), *scale.grid(y + 10, len(rows))]
        y += 28
        for one in rows:
            body += _row(one, y, scale, late=missed(one))
            y += _ROW
        y += 40
    width = _LEFT + _WIDTH + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{"".join((*_legend(), *body))}</svg>\n'
    )


class _Scale:
    """Whole powers of ten, from the one below the least value to the one above the greatest."""

    def __init__(self, least: float, greatest: float) -> None:
        self._low = math.floor(math.log10(least))
        self._high = max(self._low + 1, math.ceil(math.log10(greatest)))

    def x(self, value: float) -> float:
        return _LEFT + _WIDTH * (math.log10(value) - self._low) / (self._high - self._low)

    def grid(self, top: float, rows: int) -> Iterator[str]:
        bottom = top + rows * _ROW + 8
        for power in range(self._low, self._high + 1):
            x = self.x(10.0**power)
            yield f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>'
            yield _text(x, bottom + 14, f"{10.0**power:g} ms", "s", anchor="middle")


def _row(one: Measurement, y: float, scale: _Scale, *, late: bool) -> Iterator[str]:
    yield _text(_LEFT - 12, y + 4, one.case, "m" if late else "", anchor="end")
    for side, (colour, _) in _LOOK.items():
        median, p95 = one.median(side), one.p95(side)
        if not median or not p95:
            continue
        x = scale.x(median)
        yield f'<line x1="{x:.1f}" y1="{y}" x2="{scale.x(p95):.1f}" y2="{y}" style="stroke:{colour};stroke-width:2"/>'
        yield f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"><title>{median:.2f} ms</title></circle>'


def _legend() -> Iterator[str]:
    x = _LEFT
    for colour, name in _LOOK.values():
        yield f'<circle cx="{x}" cy="14" r="5" fill="{colour}"/>{_text(x + 10, 18, name)}'
        x += 30 + 7 * len(name)


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'
