"""How the page looks to different people: in the dark, in narrow windows, through a screen reader."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.by_night import nightly
from tests.page.browsing import Browsing, browsing
from tests.page.conftest import NARROW, WIDE, Watch
from tests.page.home import WORK, fill
from tests.page.watching import Watched, accessibility_faults

pytestmark = [pytest.mark.xdist_group("page"), pytest.mark.timeout(240)]

Ids = dict[str, str]
Scheme = Literal["light", "dark"]
WINDOWS = {
    "wide": WIDE,
    "medium": {"width": 720, "height": 800},
    "narrow": NARROW,
    "narrowest": {"width": 360, "height": 640},
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ids]:
    home = tmp_path_factory.mktemp("looks") / "home"
    home.mkdir()
    return home, fill(home)


@pytest.fixture(scope="module")
def shown(stored: tuple[Path, Ids]) -> Generator[Browsing]:
    with browsing(stored[0]) as shown:
        yield shown


def _dialog(key: str) -> Callable[[Watched, Ids], None]:
    def show(watched: Watched, ids: Ids) -> None:
        watched.goto(f"#/thread/{ids['root']}")
        watched.page.keyboard.press(key)
        expect(watched.page.get_by_role("dialog")).to_be_visible()

    return show


def _delete(watched: Watched, ids: Ids) -> None:
    watched.goto(f"#/thread/{ids['root']}")
    watched.page.get_by_role("button", name="More actions").click()
    watched.page.get_by_role("menuitem", name="Delete").click()
    expect(watched.page.get_by_role("dialog")).to_be_visible()


def _unfolded(watched: Watched, ids: Ids) -> None:
    watched.goto(f"#/thread/{WORK}")
    watched.page.keyboard.press("o")
    expect(watched.page.get_by_role("group", name="Output").first).to_be_visible()


VIEWS: dict[str, Callable[[Watched, Ids], Any]] = {
    "list": lambda watched, ids: watched.goto("#/"),
    "archive": lambda watched, ids: watched.goto("#/?archived=1"),
    "running": lambda watched, ids: watched.goto("#/running"),
    "search": lambda watched, ids: watched.goto("#/?q=search"),
    "nothing-found": lambda watched, ids: watched.goto("#/?q=xyzzyx"),
    "thread": lambda watched, ids: watched.goto(f"#/thread/{WORK}"),
    "thread-unfolded": _unfolded,
    "thread-failed": lambda watched, ids: watched.goto(f"#/thread/{ids['failed']}"),
    "tree": lambda watched, ids: watched.goto(f"#/tree/{ids['root']}"),
    "statistics": lambda watched, ids: watched.goto("#/stats"),
    "archive-dialog": _dialog("e"),
    "delete-dialog": _delete,
    "name-dialog": _dialog("n"),
    "tags-dialog": _dialog("l"),
    "keys": _dialog("?"),
}


@pytest.mark.parametrize(
    ("window", "scheme"),
    [
        ("wide", "light"),
        ("narrow", "dark"),
        nightly("wide", "dark"),
        nightly("medium", "light"),
        nightly("narrowest", "light"),
    ],
)
def test_axe_finds_nothing_and_nothing_is_cut_off_in_any_view(
    watch: Watch, shown: Browsing, stored: tuple[Path, Ids], window: str, scheme: Scheme
) -> None:
    found = dict[str, list[str]]()
    with watch(viewport=WINDOWS[window], color_scheme=scheme) as watched:
        watched.open(shown.address)
        for name, show in VIEWS.items():
            show(watched, stored[1])
            watched.settle()
            watched.shoot(f"{name}-{window}-{scheme}")
            if faults := [*accessibility_faults(watched.page), *_cut_off(watched.page)]:
                found[name] = faults
            watched.page.keyboard.press("Escape")
    assert found == {}


def _cut_off(page: Page) -> list[str]:
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"the page is {wider} pixels wider than its window"] if wider > 0 else []


@pytest.mark.parametrize(("scheme", "light"), [("light", True), ("dark", False)])
def test_the_page_follows_the_theme_of_the_system(watch: Watch, shown: Browsing, scheme: Scheme, light: bool) -> None:
    with watch(color_scheme=scheme) as watched:
        page = watched.open(shown.address)
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in colour.strip("rgb()").split(",")[:3]) / 3
        assert (brightness > 128) is light


def test_the_first_press_of_tab_is_seen_and_every_control_can_be_reached(watch: Watch, shown: Browsing) -> None:
    with watch() as watched:
        page = watched.open(shown.address)
        watched.settle()
        reached = set[str]()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate(
                    "(one => `${one.tagName} ${one.getAttribute('aria-label') ?? ''}`)(document.activeElement)"
                )
            )
            seen = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert seen != "none" or page.evaluate("document.activeElement.matches('input, body, select')")
        assert {"INPUT Search names and everything said", "DIV Threads"} <= reached


def test_with_reduced_motion_nothing_moves(watch: Watch, shown: Browsing) -> None:
    thread = shown.call("thread_start", name="Moves")["thread"]["id"]
    shown.call("turn_start", thread_id=thread, input="Begin")
    with watch() as watched:
        page = watched.open(shown.address)
        expect(page.get_by_role("option").filter(has_text="Moves")).to_contain_text("running")
        watched.settle()
        assert page.evaluate("document.getAnimations().filter(one => one.playState === 'running').length") == 0
    shown.call("turn_complete", thread_id=thread, message="done")


def test_forced_colours_leave_every_state_a_shape(watch: Watch, shown: Browsing) -> None:
    with watch(forced_colors="active") as watched:
        page = watched.open(shown.address)
        watched.settle()
        watched.shoot("list-forced-colours")
        for name in ("failed", "interrupted", "at rest"):
            expect(page.get_by_role("listbox").get_by_role("img", name=name).first).to_be_visible()
