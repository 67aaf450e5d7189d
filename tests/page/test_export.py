"""A thread that was exported as HTML is the page itself, opened as a file: no server, no network."""

from __future__ import annotations

import gzip
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlparse

import pytest
from playwright.sync_api import expect

from mcp_server.threads.built_page import FILE
from tests.by_night import nightly
from tests.mission.searches import put
from tests.page.conftest import NARROW, WIDE, Watch
from tests.page.exporting import exported
from tests.page.home import LONG_LINES, WORK_NAME, fill
from tests.page.watching import Watched, accessibility_faults
from tests.threads.rollout_lines import agent, call, ended, output, started, user

pytestmark = [pytest.mark.xdist_group("page"), pytest.mark.timeout(240)]

LONG = "01a20581-0000-7000-8000-0000000000ab"
TURNS, CALLS = 60, 450
LOG = "\n".join(f"entry {number} of the long log" for number in range(10_000))
MOST_GZIPPED = 500_000


@dataclass(frozen=True)
class Exports:
    folder: Path
    home: Path
    ids: dict[str, str]

    def address(self, name: str) -> str:
        return (self.folder / f"{self.ids[name]}.html").as_uri()


def lay_long_thread(home: Path) -> None:
    """Many turns, the last with more calls than are drawn at once, an output and an answer that are cut."""
    lines = [
        line
        for number in range(TURNS)
        for line in (started(f"t{number}"), user(f"Question {number}"), agent(f"Answer {number}"), ended(f"t{number}"))
    ]
    calls = [line for n in range(CALLS) for line in (call(f"c{n}", f'{{"cmd": "run {n}"}}'), output(f"c{n}", "ok"))]
    long = [call("long", '{"cmd": "cat long.log"}'), output("long", LOG)]
    told = agent("First words. " + "More words. " * 2_000 + "Last words.")
    put(home, LONG, *lines, started("last"), user("Go on"), *calls, *long, told, ended("last"), cwd="/home/ada/lamp")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    home, folder = tmp_path_factory.mktemp("exports") / "home", tmp_path_factory.mktemp("pages")
    home.mkdir()
    lay_long_thread(home)
    ids = fill(home) | {"long": LONG}
    for name in ("work", "root", "failed", "long"):
        exported(home, ids[name], folder)
    return Exports(folder, home, ids)


@contextmanager
def reading(watch: Watch, address: str, **options: object) -> Generator[Watched]:
    """An export that is open. At the end nothing was asked for but the file, and the console is clean."""
    with watch(**options) as watched:
        watched.open(address)
        yield watched
        assert {url.partition("#")[0] for url in watched.requests if not url.startswith("data:")} == {address}
        assert watched.faults == []
        assert watched.refused() == []


def test_it_shows_the_conversation_with_its_markdown_code_and_images(watch: Watch, exports: Exports) -> None:
    with reading(watch, exports.address("work")) as watched:
        page = watched.page
        expect(page).to_have_title(f"{WORK_NAME} · Threadstore")
        expect(page.get_by_role("heading", name=WORK_NAME)).to_be_visible()
        talk = page.get_by_role("region", name="Conversation")
        expect(talk.locator("strong").filter(has_text="each word")).to_be_visible()
        expect(talk.locator("table")).to_contain_text("840 ms")
        expect(talk.locator("pre .hljs-keyword").first).to_have_text("def")
        expect(talk.get_by_role("img", name="Image of")).to_have_attribute("width", "48")
        facts = page.get_by_role("complementary", name="About this thread")
        for fact in ("61k", "99k", "/home/ada/lamp", "faster-search", "Exported"):
            expect(facts).to_contain_text(fact)


def test_a_folded_call_opens_and_its_output_turns_by_page(watch: Watch, exports: Exports) -> None:
    with reading(watch, exports.address("work")) as watched:
        page = watched.page
        expect(page.get_by_role("group", name="Output")).to_have_count(0)
        page.get_by_role("button", name="cat search.log").click()
        output = page.get_by_role("group", name="Output")
        expect(output).to_contain_text("line 1 of the log")
        page.get_by_role("button", name="Last").click()
        expect(output).to_contain_text(f"line {LONG_LINES} of the log")
        page.keyboard.press("[")
        expect(page.get_by_text(f"of {LONG_LINES:,}")).to_contain_text("Lines 1,601 to 1,800")


def test_what_is_too_long_to_be_drawn_at_once_comes_piece_by_piece(watch: Watch, exports: Exports) -> None:
    with reading(watch, exports.address("long")) as watched:
        page = watched.page
        page.get_by_role("button", name="more item").click()
        expect(page.get_by_role("button", name="run 225")).to_be_attached()
        page.get_by_role("button", name="cat long.log").click()
        expect(page.get_by_text(f"Characters 1 to 16,000 of {len(LOG):,}")).to_be_visible()
        page.get_by_role("button", name="Last").click()
        expect(page.get_by_role("group", name="Output")).to_contain_text("entry 9999 of the long log")
        expect(page.get_by_text("Last words.")).to_have_count(0)
        page.get_by_role("button", name="Show all").click()
        expect(page.get_by_text("Last words.")).to_be_attached()


def test_earlier_turns_come_in_and_any_turn_can_be_gone_to(watch: Watch, exports: Exports) -> None:
    with reading(watch, exports.address("long")) as watched:
        page = watched.page
        turns = page.get_by_role("navigation", name="Turns")
        expect(turns).to_contain_text(f"{TURNS + 1} turns")
        page.evaluate(f"location.hash = '#/thread/{LONG}?turn=t3'")
        expect(page.get_by_role("region", name="Turn 4", exact=True)).to_be_in_viewport()
        expect(page.get_by_text("Answer 3", exact=True)).to_be_visible()
        expect(turns.get_by_role("button", name="Question 3").and_(page.locator("[aria-current=true]"))).to_be_visible()


def test_words_are_found_in_the_thread_also_in_what_tools_said(watch: Watch, exports: Exports) -> None:
    with reading(watch, exports.address("long")) as watched:
        page = watched.page
        page.keyboard.type("fENTRY 9876 long")  # at once: no letter but the first is a key of the page
        field = page.get_by_role("searchbox", name="Find in this thread")
        expect(field).to_have_value("ENTRY 9876 long")
        places = page.get_by_role("list", name="Places")
        expect(places.get_by_role("listitem")).to_have_count(1)
        expect(places.locator("mark")).to_have_text("entry")
        field.fill('"answer 7"')
        expect(places.locator("mark")).to_have_text("Answer 7")
        field.press("Enter")
        expect(page.get_by_role("region", name="Turn 8", exact=True)).to_be_in_viewport()
        field.fill('"answer 7" OR "answer 9"')
        expect(places.locator("mark")).to_have_text(["Answer 9", "Answer 7"])
        field.fill('"answer 7" -answer')
        expect(page.get_by_role("search").get_by_role("status")).to_have_text("0 places")
        field.fill("xyzzyx")
        expect(page.get_by_role("search").get_by_role("status")).to_have_text("0 places")


def test_the_tree_leads_to_a_sub_agent_and_back(watch: Watch, exports: Exports) -> None:
    with reading(watch, exports.address("root")) as watched:
        page = watched.page
        expect(page.get_by_role("button", name="Back")).to_have_count(0)
        expect(page.get_by_role("link", name="3 below")).to_be_visible()
        page.keyboard.press("t")
        tree = page.get_by_role("tree", name="Sub-agents of Review the release")
        expect(tree.get_by_role("treeitem")).to_have_count(4)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        pane = page.get_by_role("complementary", name="Hopper")
        expect(pane).to_contain_text("Run the slow tests")
        page.keyboard.press("2")
        expect(page.locator(".bar-of").first).to_be_attached()
        pane.get_by_role("link", name="Open thread").click()
        expect(page.get_by_role("heading", name="Run the slow tests", level=1)).to_be_visible()
        expect(page.get_by_role("region", name="Turn 1", exact=True)).to_contain_text("Done.")
        page.get_by_role("button", name="Back").click()
        page.get_by_role("link", name="To the thread").click()
        expect(page.get_by_role("region", name="Conversation")).to_contain_text("Review the release with helpers")


def test_nothing_is_offered_that_needs_a_server(watch: Watch, exports: Exports) -> None:
    with reading(watch, exports.address("root")) as watched:
        page = watched.page
        for place in ("#/", f"#/thread/{exports.ids['leaf']}", f"#/tree/{exports.ids['root']}"):
            watched.goto(place)
            named = page.locator("a, button").evaluate_all("all => all.map(one => one.ariaLabel ?? one.innerText)")
            offered = " ".join(named)
            for word in ("Archive", "Rename", "Delete", "chat", "Threads", "Running", "Statistics"):
                assert word not in offered, (place, named)
        for keys in (["g", "l"], ["g", "s"], ["e"], ["n"], ["z"], ["Shift+C"]):
            for key in keys:
                page.keyboard.press(key)
            watched.settle()
            assert page.url.endswith(f"#/tree/{exports.ids['root']}")
            expect(page.get_by_role("dialog")).to_have_count(0)
            expect(page.locator(".toast")).to_have_count(0)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).not_to_contain_text("statistics")


@pytest.mark.parametrize("place", ["#/", "#/stats", "#/?q=word", "#/nonsense"])
def test_every_other_place_is_the_thread(watch: Watch, exports: Exports, place: str) -> None:
    with reading(watch, exports.address("work")) as watched:
        watched.goto(place)
        expect(watched.page.get_by_role("heading", name=WORK_NAME)).to_be_visible()


def test_a_thread_that_is_not_in_the_export_is_said_to_be_elsewhere(watch: Watch, exports: Exports) -> None:
    with reading(watch, exports.address("work")) as watched:
        watched.goto(f"#/thread/{exports.ids['leaf']}")
        expect(watched.page.get_by_role("alert").filter(has_text="not in the export")).to_be_visible()


def test_links_lead_to_what_is_in_the_export_alone(watch: Watch, exports: Exports) -> None:
    address = exported(exports.home, exports.ids["tests"], exports.folder)
    with reading(watch, address) as watched:
        facts = watched.page.get_by_role("complementary", name="About this thread")
        expect(facts).to_contain_text(exports.ids["root"][:13])
        expect(facts.get_by_role("link", name=exports.ids["root"][:13])).to_have_count(0)
        watched.goto(f"#/thread/{exports.ids['leaf']}")
        facts.get_by_role("link", name=exports.ids["tests"][:13]).click()
        expect(watched.page.get_by_role("heading", name="Run the tests")).to_be_visible()


def test_a_file_that_was_cut_off_says_so(watch: Watch, exports: Exports, tmp_path: Path) -> None:
    whole = Path(unquote(urlparse(exports.address("long")).path)).read_text("utf-8")
    file = tmp_path / "part.html"
    file.write_text(whole[: whole.index("Question 40")], encoding="utf-8")
    with watch() as watched:
        page = watched.open(file.as_uri())
        expect(page.get_by_role("alert")).to_have_text("This file is not whole. Ask for it once more.")


@pytest.mark.parametrize(
    ("window", "scheme"),
    [
        (WIDE, "light"),
        (NARROW, "dark"),
        nightly(WIDE, "dark"),
        nightly({"width": 720, "height": 800}, "light"),
    ],
)
def test_axe_finds_nothing_and_nothing_is_cut_off(
    watch: Watch, exports: Exports, window: dict[str, int], scheme: Literal["light", "dark"]
) -> None:
    found = dict[str, list[str]]()
    for name, keys in {"work": ("o", "f", "?", "t"), "root": ("t",), "failed": ()}.items():
        with reading(watch, exports.address(name), viewport=window, color_scheme=scheme) as watched:
            page = watched.page
            for view in ("", *keys):
                if view:
                    page.keyboard.press(view)
                watched.settle()
                watched.shoot(f"export-{name}-{view}-{window['width']}-{scheme}")
                wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                faults = [*accessibility_faults(page), *([f"{wider} pixels too wide"] if wider > 0 else [])]
                if faults:
                    found[f"{name} {view}"] = faults
                page.keyboard.press("Escape")
            colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(int(part) for part in colour.strip("rgb()").split(",")[:3]) > 384) is (scheme == "light")
    assert found == {}


def test_the_page_is_small_and_an_export_is_hardly_larger(exports: Exports) -> None:
    page = FILE.read_bytes()
    assert len(gzip.compress(page)) <= MOST_GZIPPED
    assert len((exports.folder / f"{exports.ids['failed']}.html").read_bytes()) - len(page) < 4_000
