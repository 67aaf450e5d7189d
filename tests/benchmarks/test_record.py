"""The record of a run, its table and its picture."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks import run
from tests.benchmarks.measure import Measurement
from tests.benchmarks.plot import ROWS, picture, write
from tests.benchmarks.record import Record

KEPT = Path(__file__).parents[2] / "manifests"
SVG = "{http://www.w3.org/2000/svg}"
_WIDEST = 7.2
"""Pixels that a letter of a label takes on average in a wide font."""


def test_what_the_repository_keeps_is_what_its_record_draws(tmp_path: Path) -> None:
    write(Record.load(KEPT / "benchmark.json"), tmp_path)
    for drawn in tmp_path.iterdir():
        kept = (KEPT / drawn.name).read_text(encoding="utf-8")
        assert kept == drawn.read_text(encoding="utf-8"), "python -m tests.benchmarks.plot manifests"


def test_the_picture_is_one_screen_of_whole_labels_with_a_ratio_in_each_row() -> None:
    drawn = ElementTree.fromstring(picture(Record.load(KEPT / "benchmark.json")))
    assert int(drawn.attrib["width"]) <= 840
    assert int(drawn.attrib["height"]) <= 600
    labels = [text for text in drawn.iter(f"{SVG}text") if text.attrib["class"] == "end"]
    assert [label.text for label in labels] == list(ROWS.values())
    assert all(float(label.attrib["x"]) >= _WIDEST * len(label.text or "") for label in labels)
    ratios = [text.text or "" for text in drawn.iter(f"{SVG}text") if text.attrib["class"] == "on end"]
    assert len(ratios) == len(ROWS)
    assert all(re.fullmatch(r"[0-9.]+ times as long", ratio) for ratio in ratios)


def test_each_row_of_the_picture_is_a_case_of_the_benchmark() -> None:
    assert ROWS.keys() <= {case.name for case in run.CASES}


@pytest.mark.parametrize(("ours", "codex"), [(2.0, 90.0), (90.0, 2.0)])
def test_the_ratio_stands_on_the_longer_bar(ours: float, codex: float) -> None:
    measured = Measurement("thread_archive, one", 10, samples={"ours": [ours], "codex": [codex]}, home="10 threads")
    drawn = ElementTree.fromstring(picture(Record.of({}, [measured])))
    bars = [bar for bar in drawn.iter(f"{SVG}rect") if bar.attrib.get("height") == "14"]
    (ratio,) = [text for text in drawn.iter(f"{SVG}text") if text.attrib["class"] == "on end"]
    longer = max(bars, key=lambda bar: float(bar.attrib["width"]))
    assert ratio.text == "45 times as long"
    assert float(longer.attrib["y"]) < float(ratio.attrib["y"]) < float(longer.attrib["y"]) + 14
    assert longer.attrib["class"] == ("ours" if ours > codex else "codex")


def test_a_record_without_codex_has_a_table_and_a_picture() -> None:
    measured = Measurement("thread_archive, one", 10, samples={"ours": [9.876], "bare": [3.0]}, home="10 threads")
    record = Record.of({"python": "3.11"}, [measured])
    assert "| thread_archive, one | 9.9 ms | 3.0 ms |  |  |  | 3.3 |" in record.markdown()
    assert "Archive a thread" in picture(record)
