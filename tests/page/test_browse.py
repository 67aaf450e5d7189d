"""`threadstore browse` as a command and as an HTTP server, without a browser."""

from __future__ import annotations

import hashlib
import re
import socket
from base64 import b64encode
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_server.threads.built_page import FILE, content_security_policy
from tests.page.browsing import Browsing, browsing, opening
from tests.test_cli import run
from tests.test_homes import lay_thread

pytestmark = pytest.mark.xdist_group("page")

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
JSON = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "home"
    lay_thread(folder)
    return folder


@pytest.fixture(scope="module")
def shown(home: Path) -> Generator[Browsing]:
    with browsing(home) as shown:
        yield shown


def get(url: str, **headers: str) -> httpx2.Response:
    return httpx2.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})


# ---------------------------------------------------------------------------------------------- the command


def test_the_address_is_of_this_machine_and_ends_in_a_key_that_is_new_each_time(home: Path) -> None:
    seen = list[Browsing]()
    for _ in range(2):
        with browsing(home) as shown:
            seen.append(shown)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#key=[\w-]{43}", shown.address)
    assert seen[0].key != seen[1].key


def test_ctrl_c_ends_it_with_exit_code_0_and_the_address_is_all_of_stdout(home: Path) -> None:
    with browsing(home) as shown:
        assert get(shown.url).status_code == 200
        code, out, err = shown.interrupt()
    assert (code, out) == (0, "")
    assert "Ctrl+C ends it" in err
    assert "Traceback" not in err


def test_the_browser_is_opened_with_a_link_to_the_address_that_works_once(home: Path, tmp_path: Path) -> None:
    """Other users of the machine see what a browser was started with."""
    with opening(home, tmp_path) as (shown, link):
        assert shown.key not in link
        assert get(link, Host="evil.com").status_code == 421
        assert httpx2.head(link).status_code != 410
        first, second = get(link), get(link)
    assert (first.status_code, first.headers["location"]) == (303, f"/#key={shown.key}")
    assert first.headers["cache-control"] == "no-store"
    assert second.status_code == 410
    assert "Open the address" in second.text
    assert shown.key not in f"{second.text}{second.headers}"


def test_no_browser_on_the_machine_is_said_and_the_page_is_there_all_the_same(home: Path) -> None:
    with browsing(home, BROWSER="/nowhere/browser %s", PATH="/nowhere", DISPLAY="", WAYLAND_DISPLAY="") as shown:
        assert get(shown.url).status_code == 200
        assert shown.process.stderr is not None
        assert "this address" in shown.process.stderr.readline()
        assert "open the address in one" in shown.process.stderr.readline()


def test_a_port_that_is_taken_is_refused_with_the_way_out(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("browse", "--home", str(home), "--no-open", "--port", str(port))
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"127.0.0.1:{port}: address already in use; stop what listens there, or pass another port" in done.stderr


def test_a_chosen_port_is_used(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with browsing(home, "--port", str(port)) as shown:
        assert shown.url == f"http://127.0.0.1:{port}/"


@pytest.mark.anyio
@pytest.mark.parametrize("read_only", [True, False])
async def test_the_page_gets_the_ordinary_server_and_with_read_only_no_tool_that_changes(
    home: Path, read_only: bool
) -> None:
    with browsing(home, *(["--read-only"] if read_only else [])) as shown:
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {shown.key}"})
        async with http, Client(streamable_http_client(f"{shown.url}mcp", http_client=http)) as client:
            offered = {tool.name for tool in (await client.list_tools()).tools}
            listed = await client.call_tool("thread_list", {})
    assert listed.structured_content
    assert listed.structured_content["total"] == 1
    assert "thread_search" in offered
    assert ("thread_archive" in offered) is not read_only


# ---------------------------------------------------------------------------------------------- the page over HTTP


def test_the_page_is_the_file_of_the_package_and_needs_no_key(shown: Browsing) -> None:
    answer = get(shown.url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == FILE.read_bytes()
    assert shown.key not in answer.text


def test_the_page_is_not_sent_again_to_a_browser_that_has_it(shown: Browsing) -> None:
    tag = get(shown.url).headers["etag"]
    for held in (tag, f"W/{tag}", f'"other", {tag}'):
        again = get(shown.url, If_None_Match=held)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert get(shown.url, If_None_Match='"other"').status_code == 200


@pytest.mark.parametrize("host", ["evil.com", "evil.com:80", "127.0.0.1.evil.com", "[::2]"])
@pytest.mark.parametrize("path", ["", "mcp"])
def test_a_name_that_somebody_pointed_at_this_machine_gets_nothing(shown: Browsing, host: str, path: str) -> None:
    answer = get(shown.url + path, Host=host, Authorization=f"Bearer {shown.key}")
    assert answer.status_code == 421
    assert answer.text == "Invalid Host header"


def test_another_origin_may_not_call_the_server_even_with_the_key(shown: Browsing) -> None:
    headers = {**JSON, "Authorization": f"Bearer {shown.key}", "Origin": "http://evil.com"}
    assert httpx2.post(f"{shown.url}mcp", json=PING, headers=headers).status_code == 403
    assert "access-control-allow-origin" not in get(shown.url, Origin="http://evil.com").headers


@pytest.mark.parametrize("key", [None, "Bearer", "Bearer wrong", "Basic {key}", "{key}"])
@pytest.mark.parametrize("path", ["mcp", "", "other"])
def test_whatever_is_not_the_page_needs_the_key(shown: Browsing, key: str | None, path: str) -> None:
    headers = JSON | ({"Authorization": key.format(key=shown.key)} if key else {})
    answer = httpx2.post(shown.url + path, json=PING, headers=headers)
    assert answer.status_code == 401
    assert "Authorization: Bearer" in answer.json()["message"]


def test_the_headers_confine_the_page(shown: Browsing) -> None:
    headers = get(shown.url).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    sources = {name: policy.pop(name).split() for name in ("script-src", "style-src")}
    for name, hashes in sources.items():
        assert hashes, name
        assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", one) for one in hashes), name
    assert policy == {
        "default-src": "'none'",
        "img-src": "data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "dompurify",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"


def test_a_policy_names_each_inline_script_and_style_by_its_hash() -> None:
    script, style = "if (a < b && '<!-- <style>' + '&amp;') {}\n", "a::after { content: '</b>' }"
    policy = content_security_policy(f"<title>&lt;</title><script type=module>{script}</script><STYLE>{style}</STYLE >")
    for text in (script, style):
        assert b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert policy.count("sha256-") == 2


def test_a_policy_of_a_page_without_scripts_allows_none() -> None:
    assert "script-src 'none'; style-src 'none'" in content_security_policy("<p onclick='x()'>text</p>")
