"""The list of a home with very many threads: few rows in the document, few requests, and no long task."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.benchmarks.homes import RARE, Home, Shape, make_home
from tests.page.browsing import Browsing, browsing
from tests.page.conftest import Watch
from tests.page.watching import Watched
from tests.test_cli import environment, words

pytestmark = [pytest.mark.xdist_group("page"), pytest.mark.timeout(1_800)]

ROWS_AT_MOST = 100
ROWS_OF_AN_ANSWER = 40
"""So many fit into an answer at least."""
TASK_CPU_MS = 400
"""What a task of the page may take of the processor, which a machine that has more to do does not lengthen."""
_TO_THE_END_MS = 900_000
_STEPS = 60

_MOST_ROWS = """
window.mostRows = 0;
new MutationObserver(() => {
  window.mostRows = Math.max(window.mostRows, document.querySelectorAll(".list-entry").length);
}).observe(document, { subtree: true, childList: true });
"""
# As one who drags the bar of the scroller does: a step with each frame. Tells in how many steps no row was in sight.
_DRAG = """async ({ steps, up }) => {
  const box = document.querySelector(".list");
  let empty = 0;
  for (let n = 1; n <= steps; n += 1) {
    box.scrollTop = (up ? 1 - n / steps : n / steps) * box.scrollHeight;
    await new Promise(go => requestAnimationFrame(() => setTimeout(go)));
    const { left, top, width, height } = box.getBoundingClientRect();
    empty += !document.elementFromPoint(left + width / 2, top + height / 2)?.closest(".list-entry");
  }
  return empty;
}"""
_IS_READ = """count => [...document.querySelectorAll("[aria-posinset]")].some(row => row.ariaPosInSet >= count)"""


@pytest.fixture(scope="module", params=[3_000, pytest.param(100_000, marks=pytest.mark.nightly)])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    shape = Shape(threads=request.param, lines=7, chars=80, days=400)
    home = make_home(tmp_path_factory.mktemp("many") / "home", shape)
    subprocess.run(words("reindex", "--home", str(home.path)), env=environment(), check=True, capture_output=True)
    return home


@pytest.fixture(scope="module")
def shown(home: Home) -> Generator[Browsing]:
    with browsing(home.path) as shown:
        yield shown


@pytest.fixture
def watched(watch: Watch, shown: Browsing, home: Home) -> Generator[Watched]:
    with watch() as watched:
        watched.page.add_init_script(_MOST_ROWS)
        page = watched.open(shown.address)
        expect(page.get_by_role("status").filter(has_text=f"{home.listed:,} threads")).to_be_visible()
        watched.settle()
        yield watched
        assert page.evaluate("window.mostRows") <= ROWS_AT_MOST
        assert watched.faults == []


def row_of(page: Page, thread_id: str) -> Locator:
    return page.get_by_role("option").filter(has_text=f"turn 0 of {thread_id[-6:]}")


def longest_task_ms(trace: bytes) -> float:
    """What the longest task of the page's main thread took of the processor."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    threads = [one for one in events if one["name"] == "thread_name"]
    main = {(one["pid"], one["tid"]) for one in threads if one["args"]["name"] == "CrRendererMain"}
    tasks = [one for one in events if one["name"].endswith("::RunTask") and (one["pid"], one["tid"]) in main]
    return max(one.get("tdur", 0) for one in tasks) / 1_000


def test_end_and_a_drag_lead_to_the_oldest_thread_and_the_page_keeps_up(
    watched: Watched, home: Home, chromium: Browser
) -> None:
    page, asked = watched.page, len(watched.requests)
    page.get_by_role("listbox").focus()
    page.keyboard.press("End")
    page.wait_for_function(_IS_READ, arg=home.listed * 9 // 10, timeout=_TO_THE_END_MS)
    chromium.start_tracing(page=page, categories=["toplevel", "__metadata"])
    expect(row_of(page, home.threads[0])).to_be_in_viewport(timeout=_TO_THE_END_MS)
    assert len(watched.requests) - asked < home.listed / ROWS_OF_AN_ANSWER
    assert page.evaluate(_DRAG, {"steps": _STEPS, "up": True}) == 0
    expect(row_of(page, home.threads[-1])).to_be_in_viewport()
    assert page.evaluate(_DRAG, {"steps": _STEPS, "up": False}) == 0
    expect(row_of(page, home.threads[0])).to_be_in_viewport()
    longest = longest_task_ms(chromium.stop_tracing())
    asked = len(watched.requests) - asked
    print(f"{asked} requests, {page.evaluate('mostRows')} rows at most, tasks of {longest:.0f} ms at most")
    assert longest < TASK_CPU_MS


def test_a_wheel_takes_the_list_in_hand_on_its_way_to_the_end(watched: Watched, home: Home) -> None:
    page = watched.page
    page.get_by_role("listbox").hover()
    page.keyboard.press("End")
    page.mouse.wheel(0, -100_000)
    watched.settle()
    assert not page.evaluate(_IS_READ, home.listed)


def test_search_as_one_types_finds_the_one_thread_that_has_a_word(watched: Watched, home: Home) -> None:
    page = watched.page
    page.keyboard.press("/")
    asked = len(watched.requests)
    page.keyboard.type(RARE, delay=20)
    expect(page.get_by_role("status").filter(has_text="1 thread matches")).to_be_visible()
    expect(row_of(page, home.threads[0])).to_be_visible()
    assert len(watched.requests) - asked <= 2 * len(RARE)
