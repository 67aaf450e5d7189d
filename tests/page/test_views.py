"""The page in a browser, over the real command: what each view shows, and what its keys do."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.cli.recorded import lay_many
from tests.page.browsing import Browsing, browsing, opening
from tests.page.conftest import NARROW, WIDE, Watch
from tests.page.home import LONG_LINES, WORK_NAME, fill, writing
from tests.page.watching import Watched

pytestmark = [pytest.mark.xdist_group("page"), pytest.mark.timeout(240)]

Ids = dict[str, str]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ids]:
    home = tmp_path_factory.mktemp("views") / "home"
    home.mkdir()
    return home, fill(home)


@pytest.fixture(scope="module")
def home(stored: tuple[Path, Ids]) -> Path:
    return stored[0]


@pytest.fixture(scope="module")
def ids(stored: tuple[Path, Ids]) -> Ids:
    return stored[1]


@pytest.fixture(scope="module")
def shown(home: Path) -> Generator[Browsing]:
    with browsing(home) as shown:
        yield shown


@pytest.fixture
def watched(watch: Watch, shown: Browsing) -> Generator[Watched]:
    """The list, just opened. Whatever a test does then, the page fetches nothing from elsewhere and makes no error."""
    with watch() as watched:
        watched.open(shown.address)
        yield watched
        assert watched.outside(shown.url) == []
        assert watched.refused() == []
        assert watched.faults == []


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


def rows(page: Page) -> Locator:
    return page.get_by_role("listbox").get_by_role("option")


def row(page: Page, name: str) -> Locator:
    return rows(page).filter(has_text=name)


def names(page: Page) -> list[str]:
    return rows(page).locator(".row-title b").all_inner_texts()


def open_thread(page: Page, name: str) -> Locator:
    """Open a thread from the list; its conversation."""
    row(page, name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    return page.get_by_role("region", name="Conversation")


# ---------------------------------------------------------------------------------------------- the way in


def test_the_key_leaves_the_address_at_once_and_the_tab_keeps_it(watched: Watched, shown: Browsing) -> None:
    page = watched.page
    assert shown.key not in page.url
    assert shown.key not in page.evaluate("document.documentElement.outerHTML")
    page.reload()
    watched.ready()
    expect(rows(page).first).to_be_visible()


@pytest.mark.parametrize("by", ["ctrl", "middle button", "script"])
def test_a_thread_opens_in_a_new_tab_of_the_same_browser(watched: Watched, shown: Browsing, by: str) -> None:
    page, opened = watched.page, row(watched.page, WORK_NAME)
    with page.context.expect_page() as tab:
        if by == "script":
            page.evaluate("address => window.open(address, '_blank', 'noopener')", opened.get_attribute("href"))
        elif by == "ctrl":
            opened.click(modifiers=["Control"])
        else:
            opened.click(button="middle")
    expect(tab.value.get_by_role("heading", level=1)).to_have_text(WORK_NAME)
    assert shown.key not in tab.value.url
    tab.value.reload()
    expect(tab.value.get_by_role("heading", level=1)).to_have_text(WORK_NAME)


def test_a_new_tab_takes_no_key_of_a_server_that_has_ended(watch: Watch, home: Path) -> None:
    with watch() as watched:
        with browsing(home) as ended:
            watched.open(ended.address)
        old, port = watched.page, ended.url.rstrip("/").rpartition(":")[2]
        with browsing(home, "--port", port) as shown:
            now = watched.tab()
            now.goto(shown.address)
            expect(rows(now).first).to_be_visible()
            later = watched.tab()
            later.goto(shown.url)
            expect(rows(later).first).to_be_visible()
        assert old.evaluate("sessionStorage['threadstore-key']") == ended.key
        assert later.evaluate("[document.cookie, localStorage.length]") == ["", 0]


def test_a_tab_does_not_ask_those_of_another_port(watch: Watch, shown: Browsing, home: Path) -> None:
    with watch() as watched, browsing(home) as other:
        watched.open(shown.address)
        tab = watched.tab()
        tab.goto(other.url)
        expect(tab.get_by_text("This page has no key.")).to_be_visible()


def test_the_link_that_the_browser_is_started_with_leads_to_the_threads(
    watch: Watch, home: Path, tmp_path: Path
) -> None:
    with opening(home, tmp_path) as (_, link), watch() as watched:
        page = watched.open(link)
        expect(row(page, WORK_NAME)).to_be_visible()


@pytest.mark.parametrize(
    ("fragment", "told"),
    [("#key=wrong", "The key of this page is not valid any more."), ("", "This page has no key.")],
)
def test_a_page_without_the_right_key_says_so_and_shows_no_thread(
    watch: Watch, shown: Browsing, fragment: str, told: str
) -> None:
    with watch() as watched:
        page = watched.page
        page.goto(shown.url + fragment)
        expect(page.get_by_text(told).first).to_be_visible()
        assert names(page) == []


def test_a_server_that_has_ended_is_said_and_what_was_shown_stays(watch: Watch, home: Path) -> None:
    with watch() as watched, browsing(home) as shown:
        page = watched.open(shown.address)
        watched.settle()
        before = names(page)
        assert shown.interrupt()[0] == 0
        page.keyboard.press("/")
        page.keyboard.type("search")
        expect(page.get_by_text("Connection lost").first).to_be_visible()
        assert names(page) == before


# ---------------------------------------------------------------------------------------------- the list


def test_the_list_shows_threads_by_day_and_says_what_it_does_not_show(watched: Watched) -> None:
    page = watched.page
    watched.settle()
    assert names(page) == [
        "Review the release",
        "What does this regular expression match?",
        "Rewrite",
        "Deploy",
        WORK_NAME,
    ]
    main = page.get_by_role("main")
    expect(main).to_contain_text("5 threads")
    expect(main).to_contain_text("3 sub-agents")
    expect(main).to_contain_text("1 archived")
    assert page.locator(".list-all .day").count() == 2
    expect(row(page, "Deploy")).to_contain_text("failed")
    expect(row(page, "Rewrite")).to_contain_text("interrupted")
    watched.shoot("list")


@pytest.mark.parametrize("window", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_row_tells_how_many_sub_agents_are_below_its_thread(watched: Watched, window: ViewportSize) -> None:
    page = watched.page
    page.set_viewport_size(window)
    agents = page.get_by_role("img", name="Sub-agents")
    expect(row(page, "Review the release").locator(".row-agents").filter(has=agents)).to_have_text("3")
    expect(row(page, "Review the release").locator(".row-agents")).to_be_in_viewport()
    expect(row(page, "Deploy").locator(".row-agents").filter(has=agents)).to_have_count(0)


def test_each_link_of_what_is_not_shown_shows_it(page: Page) -> None:
    page.get_by_role("main").get_by_role("link", name="1 archived").click()
    expect(rows(page)).to_have_count(1)
    assert names(page) == ["Old question"]
    page.go_back()
    page.get_by_role("main").get_by_role("link", name="3 sub-agents").click()
    expect(rows(page)).to_have_count(3)


def test_search_as_one_types_finds_what_was_said_and_escape_brings_the_list_back(watched: Watched) -> None:
    page = watched.page
    page.keyboard.press("/")
    page.keyboard.type("looked up tw")
    expect(rows(page)).to_have_count(1)
    expect(page.locator("mark").filter(has_text="looked").first).to_be_visible()
    watched.settle()
    watched.shoot("search")
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(5)


def test_a_stored_bold_text_is_shown_as_it_is_and_only_the_words_searched_for_are_marked(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("twice")
    passage = row(page, WORK_NAME).locator(".row-passage")
    expect(passage).to_contain_text("since **each word** was looked up twice.")
    assert passage.locator("mark").all_inner_texts() == ["twice"]
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(WORK_NAME)
    page.keyboard.press("f")
    expect(page.get_by_role("searchbox", name="Find in this thread")).to_be_focused()
    page.keyboard.type("twice")
    place = page.get_by_role("list", name="Places").get_by_role("button")
    expect(place).to_contain_text("since **each word** was looked up twice.")
    assert place.locator("mark").all_inner_texts() == ["twice"]


def test_a_match_opens_the_thread_at_its_place(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("measure")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(WORK_NAME)
    expect(page.get_by_text("Now I measure.")).to_be_in_viewport()


def test_words_that_nobody_said_are_said_to_be_nowhere(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("reglar xyzzy")
    expect(page.get_by_role("heading", name="No thread matches")).to_be_visible()


def test_a_project_and_a_state_narrow_the_list(page: Page) -> None:
    page.get_by_label("Project", exact=True).select_option(label="ops")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("State", exact=True).select_option("failed")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(5)


def test_the_keys_of_the_list_move_open_and_come_back(page: Page) -> None:
    expect(rows(page)).to_have_count(5)
    for key in ("j", "j", "ArrowDown", "k"):
        page.keyboard.press(key)
    expect(rows(page).and_(page.locator("[aria-selected=true]"))).to_contain_text(
        "What does this regular expression match?"
    )
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("What does this regular expression match?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_visible()


@pytest.mark.parametrize(("keys", "heading"), [("gr", "Running"), ("gs", "Statistics"), ("gl", "Threads")])
def test_two_letters_go_to_a_view(page: Page, keys: str, heading: str) -> None:
    page.keyboard.type(keys)
    expect(page.get_by_role("heading", level=1, name=heading)).to_be_attached()


def test_the_list_of_keys_opens_and_closes(watched: Watched) -> None:
    page = watched.page
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    watched.shoot("keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_letters_in_a_field_are_text_and_no_keys(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("?gs")
    expect(page.get_by_role("searchbox")).to_have_value("?gs")
    expect(page.get_by_role("dialog")).to_have_count(0)


# ---------------------------------------------------------------------------------------------- a thread


def test_a_thread_reads_as_a_conversation(watched: Watched) -> None:
    page = watched.page
    talk = open_thread(page, WORK_NAME)
    expect(talk.get_by_role("table")).to_contain_text("840 ms")
    expect(talk.locator("pre .hljs-keyword").first).to_have_text("def")
    expect(talk.get_by_role("link", name="the manual")).to_have_attribute("href", "https://example.org/manual")
    expect(talk.get_by_text("each word")).to_have_css("font-weight", re.compile("600|700"))
    expect(talk.get_by_text("The context was shortened here")).to_be_attached()
    expect(page.get_by_role("meter", name="Context window")).to_have_attribute("aria-valuenow", "61000")
    expect(page.get_by_label("About this thread")).to_contain_text("faster-search")
    watched.settle()
    watched.shoot("thread")


def test_a_picture_is_drawn_and_not_fetched(watched: Watched) -> None:
    page = watched.page
    open_thread(page, WORK_NAME)
    canvas = page.get_by_role("region", name="Conversation").locator("canvas").first
    canvas.scroll_into_view_if_needed()
    watched.settle()
    red = canvas.evaluate("one => [...one.getContext('2d').getImageData(5, 5, 1, 1).data]")
    assert red == [200, 60, 60, 255]


def test_calls_are_folded_and_a_long_output_turns_its_pages(watched: Watched) -> None:
    page = watched.page
    open_thread(page, WORK_NAME)
    call = page.get_by_role("button").filter(has_text="cat search.log")
    expect(call).to_have_attribute("aria-expanded", "false")
    call.click()
    output = page.get_by_role("group", name="Output").first
    expect(output).to_contain_text("line 1 of the log")
    last = page.get_by_role("button", name="Last", exact=True)
    last.click()
    expect(output).to_contain_text(f"line {LONG_LINES} of the log")
    expect(last).to_be_disabled()
    page.get_by_role("button", name="First", exact=True).click()
    expect(output).to_contain_text("line 1 of the log")
    watched.settle()
    watched.shoot("output")


def test_the_keys_of_a_thread_step_through_turns_and_open_calls(page: Page) -> None:
    open_thread(page, WORK_NAME)
    current = page.locator(".turn[aria-current=true]")
    expect(current).to_have_attribute("aria-label", "Turn 2")
    page.keyboard.press("k")
    expect(current).to_have_attribute("aria-label", "Turn 1")
    page.keyboard.press("j")
    expect(current).to_have_attribute("aria-label", "Turn 2")
    folded = page.locator(".call[aria-expanded=false]")
    assert folded.count() == 2
    page.keyboard.press("o")
    expect(folded).to_have_count(0)
    page.keyboard.press("o")
    expect(folded).to_have_count(2)


def test_words_are_found_within_a_thread(page: Page) -> None:
    talk = open_thread(page, WORK_NAME)
    page.keyboard.press("f")
    page.keyboard.type("measure")
    expect(page.get_by_role("list", name="Places").get_by_role("button").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(talk.get_by_text("Now I measure.")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox", name="Find in this thread")).to_have_count(0)


def test_a_failed_turn_says_why(watched: Watched) -> None:
    page = watched.page
    open_thread(page, "Deploy")
    expect(page.get_by_role("region", name="Conversation")).to_contain_text("The registry can't be reached")
    watched.shoot("failed")


def test_a_link_to_another_site_opens_outside_and_tells_it_nothing(watched: Watched) -> None:
    page = watched.page
    page.context.route("https://example.org/**", lambda route: route.fulfill(body="the manual"))
    open_thread(page, WORK_NAME)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="the manual").click()
    assert opened.value.url == "https://example.org/manual"
    assert opened.value.evaluate("window.opener") is None
    assert opened.value.evaluate("document.referrer") == ""
    watched.requests.remove("https://example.org/manual")


# ---------------------------------------------------------------------------------------------- a tree


def test_a_tree_is_a_picture_that_the_arrow_keys_walk(watched: Watched) -> None:
    page = watched.page
    open_thread(page, "Review the release")
    expect(page.get_by_role("heading", level=1)).to_have_text("Review the release")
    page.keyboard.press("t")
    items = page.get_by_role("treeitem")
    expect(items).to_have_count(4)
    chosen = page.locator("[role=treeitem][aria-selected=true]")
    expect(chosen).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(chosen).to_contain_text(re.compile("Turing|Knuth"))
    seen = set[str]()
    for key in ("ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
        seen.add(chosen.inner_text())
    assert len(seen) == 2
    page.keyboard.press("ArrowLeft")
    expect(chosen).to_contain_text("Review the release")
    watched.settle()
    watched.shoot("tree")


def test_the_agent_that_is_chosen_is_told_beside_the_tree(page: Page, ids: Ids) -> None:
    page.evaluate("id => { location.hash = `#/tree/${id}`; }", ids["root"])
    page.get_by_role("treeitem").filter(has_text="Knuth").click()
    pane = page.get_by_role("complementary")
    expect(pane).to_contain_text("no manual")
    page.get_by_role("treeitem").filter(has_text="Turing").click()
    expect(pane).to_contain_text("tester")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Run the tests")


@pytest.mark.parametrize(("key", "name"), [("1", "Map"), ("2", "Time"), ("3", "Text")])
def test_a_tree_has_three_pictures(watched: Watched, ids: Ids, key: str, name: str) -> None:
    page = watched.page
    watched.goto(f"#/tree/{ids['root']}")
    page.keyboard.press(key)
    expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
    for nickname in ("Turing", "Knuth", "Hopper"):
        expect(page.get_by_role("main")).to_contain_text(nickname)
    watched.settle()
    watched.shoot(f"tree-{name.lower()}")


def test_space_folds_what_is_below_an_agent(watched: Watched, ids: Ids) -> None:
    page = watched.page
    watched.goto(f"#/tree/{ids['root']}")
    page.get_by_role("treeitem").filter(has_text="Turing").click()
    page.keyboard.press("Space")
    expect(page.get_by_role("treeitem")).to_have_count(3)
    page.keyboard.press("Space")
    expect(page.get_by_role("treeitem")).to_have_count(4)


# ---------------------------------------------------------------------------------------------- statistics


def test_the_statistics_count_days_projects_and_tokens(watched: Watched) -> None:
    page = watched.page
    watched.goto("#/stats")
    main = page.get_by_role("main")
    expect(main).to_contain_text("lamp")
    expect(main).to_contain_text("ops")
    expect(page.get_by_role("heading", level=1, name="Statistics")).to_be_attached()
    watched.shoot("stats")


def test_what_is_not_read_yet_is_told_to_people_in_their_words(watch: Watch, tmp_path: Path) -> None:
    lay_many(tmp_path, 1_000)
    (tmp_path / "threadstore.sqlite").mkdir()  # so each answer reads what it can, and nothing is read besides
    with watch() as watched, browsing(tmp_path) as shown:
        page = watched.open(shown.address)
        watched.settle()
        watched.goto("#/stats")
        how = page.locator(".stats-how")
        expect(how).to_contain_text("are not read yet, so not counted. `threadstore reindex` reads the rest.")
        assert "store_status" not in page.get_by_role("main").inner_text()


# ---------------------------------------------------------------------------------------------- live


def test_what_another_program_starts_and_ends_is_seen_without_a_reload(watched: Watched, home: Path) -> None:
    page = watched.page
    watched.settle()
    with writing(home) as writer:
        thread = writer.start(name="Work of another program", cwd="/home/ada/lamp")
        writer.call("turn_start", thread_id=thread, input="Begin")
        line = row(page, "Work of another program")
        expect(line).to_contain_text("running")
        expect(page.locator(".list-all .day").first).to_contain_text("Running now")
        watched.shoot("running")
        line.click()
        said = {"type": "agentMessage", "text": "I am at work."}
        writer.call("turn_append", thread_id=thread, items=[said])
        expect(page.get_by_role("region", name="Conversation")).to_contain_text("I am at work.")
        writer.call("turn_complete", thread_id=thread, message="It is done.")
        expect(page.get_by_role("region", name="Conversation")).to_contain_text("It is done.")
        writer.call("thread_delete", thread_id=thread, confirm_thread_ids=[thread])
    page.keyboard.press("Escape")
    expect(row(page, "Work of another program")).to_have_count(0)


# ---------------------------------------------------------------------------------------------- read-only


def test_a_page_that_may_only_read_offers_no_change(watch: Watch, home: Path) -> None:
    with watch() as watched, browsing(home, "--read-only") as shown:
        page = watched.open(shown.address)
        open_thread(page, WORK_NAME)
        watched.settle()
        page.get_by_role("button", name="More actions").click()
        expect(page.get_by_role("menuitem", name="Copy for a chat")).to_be_visible()
        for name in ("Rename", "Tags", "Archive", "Delete"):
            expect(page.get_by_role("menuitem", name=name)).to_have_count(0)
        page.keyboard.press("Escape")
        page.keyboard.press("e")
        expect(page.get_by_role("dialog")).to_have_count(0)
