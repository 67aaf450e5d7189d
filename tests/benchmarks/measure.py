"""Samples, and what is asked of them. Times are in milliseconds, sizes in megabytes (10^6 bytes)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["ours", "old", "small", "unchecked", "bare", "ready", "codex", "codex_db"]
"""`old` is the server of an earlier commit. `small` is our server on the smallest home of the run. `unchecked` is our
answer as it comes, before the SDK's client has held it against the tool's output schema. `bare` is the floor, and
`ready` the bare server's call that has our answer ready, unchecked too. `codex_db` is Codex asked to look into its
database alone (useStateDbOnly)."""

Unit = Literal["ms", "MB"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked from homes of `at` threads on.

    `faster`: the other side takes at least `factor` times what we take. `within`: we take at most `factor` times what
    the other takes. `below`: at most `factor` in the case's own unit. `flat`: at most `factor` times what we take on
    the smallest home of the run, in the same rounds. `near`: at most `factor` times what we take in the other case on
    the same home. `own`: our own work is at most `factor`.
    """

    kind: Literal["faster", "within", "below", "flat", "near", "own"]
    factor: float
    than: str = ""
    at: int = 0


def faster(than: Side, factor: float, at: int = 0) -> Target:
    return Target("faster", factor, than, at)


def within(factor: float, than: Side = "bare", at: int = 0) -> Target:
    return Target("within", factor, than, at)


def below(factor: float, at: int = 0) -> Target:
    return Target("below", factor, at=at)


def flat(factor: float, at: int = 0) -> Target:
    return Target("flat", factor, at=at)


def near(case: str, factor: float) -> Target:
    return Target("near", factor, case)


def own(factor: float) -> Target:
    return Target("own", factor)


@dataclass(slots=True)
class Measurement:
    """The samples of one case on one home, by side; `failures` says why a side has none, or too few."""

    case: str
    size: int
    unit: Unit = "ms"
    targets: tuple[Target, ...] = ()
    home: str = ""
    samples: dict[Side, list[float]] = field(default_factory=dict[Side, list[float]])
    failures: dict[Side, str] = field(default_factory=dict[Side, str])

    def median(self, side: Side) -> float | None:
        return statistics.median(self.samples[side]) if self.samples.get(side) else None

    def pair_ratios(self) -> list[float]:
        """How many times as long we took as the old server, pair by pair: below 1 is faster."""
        return [new / old for new, old in zip(self.samples.get("ours", ()), self.samples.get("old", ()), strict=False)]

    def p95(self, side: Side) -> float | None:
        """Nearest rank: the largest of fewer than 20 samples."""
        ordered = sorted(self.samples.get(side, ()))
        return ordered[max(0, -(-95 * len(ordered) // 100) - 1)] if ordered else None

    def own_work(self) -> float | None:
        """What we take above the bare server's call, without the client's check where that is known."""
        return _above(self.median("unchecked") or self.median("ours"), self.median("bare"))

    def sdk_work(self) -> float | None:
        """What the bare server takes above its call if it has our answer ready: the SDK's part, on both sides."""
        return _above(self.median("ready"), self.median("bare"))

    def client_check(self) -> float | None:
        """What the SDK's client takes to hold our answer against the output schema."""
        return _above(self.median("ours"), self.median("unchecked"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one target stands: `ratio` is what it is about (`below` and `own`: the value), None if a side is missing.
    `best` is what it would be for the bare server with the answer ready, where that is known. `binding` tells whether
    the target is asked at this size."""

    target: Target
    ratio: float | None
    binding: bool
    best: float | None = None

    @property
    def met(self) -> bool | None:
        if self.ratio is None:
            return None
        return self.ratio >= self.target.factor if self.target.kind == "faster" else self.ratio <= self.target.factor


Run = Mapping[tuple[str, int], Measurement]
"""The measurements of one run by case and size."""


def run_of(measurements: list[Measurement]) -> Run:
    return {(one.case, one.size): one for one in measurements}


def verdicts(measurement: Measurement, run: Run) -> list[Verdict]:
    """One for each target of the case."""
    return [
        Verdict(target, _ratio(target, measurement, run), measurement.size >= target.at, _best(target, measurement))
        for target in measurement.targets
    ]


def _ratio(target: Target, one: Measurement, run: Run) -> float | None:
    ours = one.median("ours")
    match target.kind:
        case "faster":
            return _divided(_other(one, target.than), ours)
        case "within":
            return _divided(ours, _other(one, target.than))
        case "below":
            # A peak is a peak: the largest sample counts.
            return max(one.samples["ours"]) if ours is not None else None
        case "own":
            return one.own_work()
        case "flat":
            return _divided(ours, one.median("small"))
        case "near":
            other = run.get((target.than, one.size))
            return _divided(ours, other.median("ours") if other else None)


def _best(target: Target, one: Measurement) -> float | None:
    match target.kind:
        case "faster":
            ready = one.median("ready")
            return None if ready is None else _divided(_other(one, target.than), ready + (one.client_check() or 0.0))
        case "own":
            return one.sdk_work()
        case _:
            return None


def _other(one: Measurement, side: str) -> float | None:
    return next((one.median(name) for name in one.samples if name == side), None)


def _divided(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def _above(value: float | None, floor: float | None) -> float | None:
    return None if value is None or floor is None else value - floor
