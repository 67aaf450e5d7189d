"""What the page changes: each after it was shown and agreed to, and each with a way back or the name typed."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.browsing import Browsing, browsing
from tests.page.conftest import Watch
from tests.page.home import Writer, grow, writing
from tests.page.watching import Watched

pytestmark = [pytest.mark.xdist_group("page"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("changes") / "home"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def writer(home: Path) -> Generator[Writer]:
    with writing(home) as writer:
        yield writer


@pytest.fixture(scope="module")
def shown(home: Path, writer: Writer) -> Generator[Browsing]:
    with browsing(home) as shown:
        yield shown


@pytest.fixture
def watched(watch: Watch, shown: Browsing) -> Generator[Watched]:
    with watch() as watched:
        watched.open(shown.address)
        yield watched
        assert watched.refused() == []
        assert watched.faults == []


def opened(watched: Watched, thread_id: str, name: str) -> Page:
    watched.goto(f"#/thread/{thread_id}")
    expect(watched.page.get_by_role("heading", level=1)).to_have_text(name)
    return watched.page


def act(page: Page, name: str) -> Locator:
    """Choose an action of the thread's menu; the dialog that it opens."""
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name=name).click()
    return page.get_by_role("dialog")


def archived(writer: Writer, *ids: str) -> list[bool]:
    threads: list[Any] = [writer.call("thread_read", thread_id=one)["thread"] for one in ids]
    return [thread["archived"] for thread in threads]


def test_a_tree_is_archived_after_its_dry_run_and_undo_brings_all_of_it_back(watched: Watched, writer: Writer) -> None:
    tree = grow(writer, "Archive me")
    page = opened(watched, tree["root"], "Archive me")
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Archive this thread and its 3 sub-agents?")
    expect(dialog).to_contain_text("Dry run. Nothing has changed yet.")
    expect(dialog.get_by_role("listitem").filter(has_text="Turing")).to_be_visible()
    go = dialog.get_by_role("button", name="Archive 4")
    expect(go).to_be_focused()
    watched.shoot("archive")
    assert archived(writer, *tree.values()) == [False] * 4
    go.click()
    toast = page.get_by_role("status").filter(has_text="Archived 4 threads")
    expect(toast).to_be_visible()
    watched.shoot("archived")
    assert archived(writer, *tree.values()) == [True] * 4
    toast.get_by_role("button", name="Receipt").click()
    expect(page.get_by_role("dialog")).to_contain_text(tree["leaf"][:13])
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    expect(toast).to_have_count(0)
    watched.settle()
    assert archived(writer, *tree.values()) == [False] * 4


def test_cancel_and_escape_archive_nothing(watched: Watched, writer: Writer) -> None:
    thread = writer.written("Keep me", name="Keep me")
    page = opened(watched, thread, "Keep me")
    for leave in ("Cancel", "Escape"):
        dialog = act(page, "Archive")
        expect(dialog.get_by_role("button", name="Archive 1")).to_be_enabled()
        if leave == "Cancel":
            dialog.get_by_role("button", name="Cancel").click()
        else:
            page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    assert archived(writer, thread) == [False]


def test_work_that_would_be_stopped_is_said_and_then_the_focus_is_on_cancel(
    watched: Watched, shown: Browsing, writer: Writer
) -> None:
    thread = shown.call("thread_start", name="At work")["thread"]["id"]
    shown.call("turn_start", thread_id=thread, input="Begin")
    page = opened(watched, thread, "At work")
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("working and will be stopped first")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    watched.shoot("archive-running")
    dialog.get_by_role("button", name="Stop 1, archive 1").click()
    expect(page.get_by_role("status").filter(has_text="Archived 1 thread")).to_be_visible()
    read = writer.call("thread_read", thread_id=thread)["thread"]
    assert (read["archived"], read["last_turn"]) == (True, "interrupted")


def test_a_thread_that_another_program_works_in_is_not_archived_and_the_dialog_says_who_holds_it(
    watched: Watched, writer: Writer
) -> None:
    thread = writer.start(name="Held elsewhere")
    writer.call("turn_start", thread_id=thread, input="Begin")
    page = opened(watched, thread, "Held elsewhere")
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("already has an active writer")
    expect(dialog.get_by_role("button", name="Archive")).to_be_disabled()
    writer.call("turn_complete", thread_id=thread, message="done")
    writer.call("thread_unsubscribe", thread_id=thread)
    assert archived(writer, thread) == [False]


def test_an_archived_thread_is_brought_back_after_its_dry_run(watched: Watched, writer: Writer) -> None:
    thread = writer.written("Bring me back", name="Bring me back")
    writer.call("thread_archive", thread_id=thread)
    page = opened(watched, thread, "Bring me back")
    dialog = act(page, "Bring back")
    expect(dialog).to_contain_text("Dry run. Nothing has changed yet.")
    dialog.get_by_role("button", name="Bring back 1").click()
    expect(page.get_by_role("status").filter(has_text="back")).to_be_visible()
    watched.settle()
    assert archived(writer, thread) == [False]


def test_delete_wants_the_name_typed_and_offers_the_archive(watched: Watched, writer: Writer) -> None:
    thread = writer.written("Delete me", name="Delete me")
    page = opened(watched, thread, "Delete me")
    dialog = act(page, "Delete")
    go = dialog.get_by_role("button", name="Delete 1 thread")
    expect(dialog.get_by_role("button", name="Archive instead")).to_be_visible()
    field = dialog.get_by_role("textbox")
    expect(field).to_be_focused()
    for typed in ("", "delete me", "Delete m"):
        field.fill(typed)
        expect(go).to_be_disabled()
    field.press("Enter")
    watched.shoot("delete")
    assert archived(writer, thread) == [False]
    field.fill("Delete me")
    expect(go).to_be_enabled()
    go.click()
    expect(page.get_by_role("status").filter(has_text="Deleted 1 thread")).to_be_visible()
    expect(page.get_by_role("listbox")).to_be_visible()
    assert writer.call("thread_list")["total"] == writer.call("thread_list", limit=100)["total"]
    found = writer.call("thread_list", limit=100)["data"]
    assert thread not in [one["id"] for one in found]


def test_a_rename_is_seen_by_others_and_can_be_undone(watched: Watched, writer: Writer) -> None:
    thread = writer.written("Name me", name="Old name")
    page = opened(watched, thread, "Old name")
    page.keyboard.press("n")
    page.get_by_role("dialog").get_by_role("textbox").fill("New <b>name</b>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("New <b>name</b>")
    assert writer.call("thread_read", thread_id=thread)["thread"]["name"] == "New <b>name</b>"
    page.keyboard.press("z")
    expect(page.get_by_role("heading", level=1)).to_have_text("Old name")


@pytest.mark.parametrize("kind", ["name", "tags"])
def test_a_change_that_can_not_be_undone_says_why_in_its_dialog_and_can_be_tried_again(
    watched: Watched, writer: Writer, kind: str
) -> None:
    thread = writer.written("Hold me", name="Old name")
    writer.call("thread_update", thread_id=thread, tags=["old"])
    page = opened(watched, thread, "Old name")
    page.keyboard.press("n" if kind == "name" else "l")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox" if kind == "name" else "combobox").fill("new")
    dialog.get_by_role("button", name=re.compile("Rename|Save")).click()
    expect(dialog).to_have_count(0)
    page.context.set_offline(True)
    page.keyboard.press("z")
    expect(dialog.get_by_role("alert")).to_contain_text("It could not be undone. The server does not answer.")
    watched.shoot(f"not-undone-{kind}")
    page.context.set_offline(False)
    dialog.get_by_role("button", name=re.compile("Rename|Save")).click()
    expect(dialog).to_have_count(0)
    read = writer.call("thread_read", thread_id=thread)["thread"]
    assert (read["name"], read["tags"]) == ("Old name", ["old"])
    watched.faults[:] = [fault for fault in watched.faults if "ERR_INTERNET_DISCONNECTED" not in fault]


def test_tags_are_set_and_a_refusal_stays_in_the_dialog(watched: Watched, writer: Writer) -> None:
    thread = writer.written("Tag me", name="Tag me")
    page = opened(watched, thread, "Tag me")
    page.keyboard.press("l")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").fill("x" * 200)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("at most")
    dialog.get_by_role("combobox").fill("")
    for _ in range(2):
        page.keyboard.press("Backspace")
    dialog.get_by_role("combobox").fill("release")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("banner").or_(page.locator("header.bar"))).to_contain_text("release")
    assert writer.call("thread_read", thread_id=thread)["thread"]["tags"] == ["release"]


def test_a_thread_that_another_program_has_deleted_is_said_to_be_gone(watched: Watched, writer: Writer) -> None:
    thread = writer.written("Gone soon", name="Gone soon")
    page = opened(watched, thread, "Gone soon")
    writer.call("thread_delete", thread_id=thread, confirm_thread_ids=[thread])
    page.keyboard.press("e")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(thread)
