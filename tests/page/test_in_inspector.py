"""The page as an MCP App in the web host of the real Inspector, and what its command line says of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Frame, expect

from tests.by_night import nightly
from tests.clients.installed import client
from tests.page.attacks import EVIL, plant
from tests.page.conftest import Watch
from tests.page.home import WORK, WORK_NAME, fill
from tests.page.inspector import FORM, Inspector, inspector, shown_app
from tests.page.watching import accessibility_faults
from tests.servers import serving_http

pytestmark = [pytest.mark.xdist_group("page"), pytest.mark.timeout(300)]

APP, NO_APP = 0, 2
WHOLE = "body:not([data-inline])"
"""The page has the whole window, and has gone to where it begins there."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("app") / "home"
    home.mkdir()
    fill(home)
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Generator[str]:
    with serving_http(home) as url:
        yield url


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Generator[Inspector]:
    with inspector(tmp_path_factory.mktemp("inspector")) as host:
        yield host


@pytest.mark.parametrize(
    ("tool", "ends"),
    [
        ("thread_list", APP),
        *(nightly(f"thread_{name}", APP) for name in ("read", "tree", "search")),
        ("thread_brief", NO_APP),
    ],
)
@pytest.mark.parametrize("era", ["legacy", nightly("modern")])
def test_the_command_line_finds_the_app_of_each_tool_that_has_one(home: Path, tool: str, ends: int, era: str) -> None:
    command = [client("INSPECTOR_BIN", "mcp-inspector"), "--cli", sys.executable, "-m", "mcp_server"]
    options = ["serve", "--home", str(home), "--method", "tools/call", "--tool-name", tool, "--app-info"]
    modern = ["--protocol-era", "modern"] if era == "modern" else []
    done = subprocess.run([*command, *options, *modern], capture_output=True, text=True, timeout=100)
    assert done.returncode == ends, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("thread_list", {}, WORK_NAME),
        ("thread_read", {"thread_id": WORK}, WORK_NAME),
        nightly("thread_search", {"search_term": "looked up"}, WORK_NAME),
        nightly("thread_tree", {"thread_id": "Review the release"}, "Review the release"),
    ],
)
@pytest.mark.parametrize("scheme", ["light", nightly("dark")])
def test_the_answer_of_each_tool_is_shown_in_the_chat(
    watch: Watch, host: Inspector, server: str, tool: str, arguments: dict[str, Any], told: str, scheme: Any
) -> None:
    with watch(color_scheme=scheme) as watched:
        watched.page.goto(host.opening(server, tool, **arguments))
        app = shown_app(watched.page)
        expect(app.locator("body")).to_contain_text(told)
        watched.shoot(f"app-{tool}-{scheme}")
        assert accessibility_faults(app) == []
        assert height_is_modest(app)


def height_is_modest(app: Frame) -> bool:
    return bool(app.evaluate("document.documentElement.clientHeight <= 600"))


def test_the_full_view_walks_from_the_list_into_a_thread_by_tools_that_the_host_calls(
    watch: Watch, host: Inspector, server: str
) -> None:
    with watch() as watched:
        watched.page.goto(host.opening(server, "thread_list"))
        app = shown_app(watched.page)
        app.get_by_role("button", name="Full view").click()
        app.get_by_role("option").filter(has_text=WORK_NAME).click()
        expect(app.get_by_role("region", name="Conversation")).to_contain_text("The search was slow")
        watched.shoot("app-full")
        canvas = app.locator("canvas").first
        canvas.scroll_into_view_if_needed()
        expect(canvas).to_be_visible()
        app.locator("body").press("t")
        watched.shoot("app-full-thread")
        ours = [url for url in watched.requests if url.startswith(server.removesuffix("/mcp"))]
        assert ours == []  # only the host speaks to the server


def test_a_reader_who_has_walked_into_a_thread_stays_there_in_the_full_view(
    watch: Watch, host: Inspector, server: str
) -> None:
    with watch() as watched:
        watched.page.goto(host.opening(server, "thread_list"))
        app = shown_app(watched.page)
        app.get_by_role("option").filter(has_text=WORK_NAME).click()
        conversation = app.get_by_role("region", name="Conversation")
        expect(conversation).to_contain_text("The search was slow")
        watched.page.get_by_role("button", name="Maximize").click()  # the host's own
        app.locator(WHOLE).wait_for()
        expect(conversation).to_contain_text("The search was slow")


def test_stored_texts_run_nothing_and_fetch_nothing_in_the_host_either(
    watch: Watch, host: Inspector, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    ids = plant(tmp_path / "home")
    with serving_http(tmp_path / "home") as url, watch() as watched:
        watched.page.goto(host.opening(url, "thread_list"))
        app = shown_app(watched.page)
        app.get_by_role("button", name="Full view").click()
        app.locator(WHOLE).wait_for()
        for one in ids[:2]:  # the first holds all of the texts
            app.evaluate("id => { location.hash = `#/thread/${id}`; }", one)
            app.get_by_role("region", name="Conversation").get_by_role("region").first.wait_for()
            app.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            app.evaluate("document.querySelectorAll('.prose a:not([href^=http])').forEach(one => one.click())")
            assert app.evaluate("window.planted") is None
        for frame in watched.page.frames:
            assert frame.evaluate("window.planted") is None
        assert [url for url in watched.requests if url.startswith(EVIL)] == []
        assert watched.asked == []


def test_an_injection_that_slipped_through_would_be_refused_in_the_host_too(
    watch: Watch, host: Inspector, server: str
) -> None:
    """The sandbox alone allows inline scripts: the page forbids them to itself."""
    with watch() as watched:
        watched.page.goto(host.opening(server, "thread_list"))
        app = shown_app(watched.page)
        told = app.evaluate(
            """() => { try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=window.planted=1>"); }
              catch (error) { return String(error); } }"""
        )
        assert "TrustedHTML" in str(told)
        app.evaluate("document.body.append(Object.assign(document.createElement('p'), { textContent: 'still here' }))")
        assert app.evaluate("window.planted") is None
        expect(app.get_by_text("still here")).to_be_attached()
        assert watched.page.locator(FORM).get_attribute("data-app-status") == "ready"
