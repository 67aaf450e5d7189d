"""A thread that was exported from one home and imported into another, resumed there by the real Codex."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from mcp_server.models.value import Json
from tests.peer.conftest import NEWEST_BY_DAY, CodexHome

pytestmark = NEWEST_BY_DAY

PROJECT = "/golden171/project"


@pytest.fixture
def source(golden171_home: CodexHome) -> CodexHome:
    return golden171_home


def threadstore(home: CodexHome, *arguments: str) -> Json:
    command = [sys.executable, "-m", "mcp_server", *arguments, "--home", str(home.path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def handed_over(source: CodexHome, home: CodexHome, thread_id: str, *options: str) -> Json:
    """The receipt of the import; the thread's project is elsewhere now."""
    bundle = str(home.path.parent / f"{uuid4()}.zip")
    threadstore(source, "export", thread_id, "--format", "bundle", "-o", bundle, *options)
    return threadstore(home, "import", bundle, "--map", f"{PROJECT}={home.path.parent}/moved")


def ids_of(source: CodexHome) -> dict[str, str]:
    expected = source.peer.golden.parent / "golden171" / "expected.json"
    return json.loads(expected.read_text())["ids"]


def said(thread: Json) -> list[str]:
    """What user and agent said in a thread that Codex has resumed or read."""
    items = [item for turn in thread["turns"] for item in turn["items"]]
    return [
        item["text"] if item["type"] == "agentMessage" else "".join(part.get("text", "") for part in item["content"])
        for item in items
        if item["type"] in ("agentMessage", "userMessage")
    ]


def resumed(codex: Any, thread_id: str) -> Json:
    return codex.request("thread/resume", {"threadId": thread_id})


def resumed_with_sources(codex: Any, receipt: Json, thread_id: str) -> Json:
    """Of a fork whose source it has never opened, Codex shows the fork's own turns alone, also in a home of its own
    whose databases were deleted. The model gets all of them. Once the source was opened, Codex shows them, too."""
    for row in reversed(receipt["data"]):
        if row.get("borrowed") and not row.get("archived"):
            resumed(codex, row["thread_id"])
    return resumed(codex, thread_id)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        *(("l_two_turns_shell", None), ("p_three_turns_shell", None), ("l_fork", None), ("p_fork_of_fork", None)),
        *(("p_compacted", None), ("p_zst", None), ("l_tools", None)),
        *(("p_fork_of_fork", "--redact"), ("l_tools", "--redact")),
    ],
)
def test_codex_resumes_an_imported_thread_in_its_new_folder_and_goes_on(
    source: CodexHome, home: CodexHome, name: str, option: str | None
) -> None:
    thread_id = ids_of(source)[name]
    with source.server() as codex:
        before = said(resumed(codex, thread_id)["thread"])
    receipt = handed_over(source, home, thread_id, *([option] if option else []))
    assert (receipt["thread_id"], receipt["new_ids"]) == (thread_id, 0)
    with home.server() as codex:
        answer = resumed_with_sources(codex, receipt, thread_id)
        assert said(answer["thread"]) == before
        assert answer["cwd"] == f"{home.path.parent}/moved"
        codex.turn(thread_id, "and now here")
    with home.server() as codex:
        after = said(resumed(codex, thread_id)["thread"])
    assert after[: len(before)] == before
    assert "and now here" in after


@pytest.mark.parametrize("name", ["p_fork", "p_fork_of_archived", "p_reverted"])
def test_codex_gives_the_model_what_an_imported_thread_has_borrowed(
    source: CodexHome, home: CodexHome, name: str
) -> None:
    thread_id = ids_of(source)[name]
    with source.server() as codex:
        before = said(resumed(codex, thread_id)["thread"])
    handed_over(source, home, thread_id)
    with home.server() as codex:
        resumed(codex, thread_id)
        codex.turn(thread_id, "and now here")
    given = json.dumps(home.model.inputs()[-1])
    assert all(text in given for text in [*before, "and now here"])


def test_codex_resumes_what_was_imported_twice_under_both_ids(source: CodexHome, home: CodexHome) -> None:
    thread_id = ids_of(source)["p_fork_of_fork"]
    with source.server() as codex:
        before = said(resumed(codex, thread_id)["thread"])
    first, second = handed_over(source, home, thread_id), handed_over(source, home, thread_id)
    assert first["thread_id"] == thread_id != second["thread_id"]
    with home.server() as codex:
        for copy in (first, second):
            assert said(resumed_with_sources(codex, copy, copy["thread_id"])["thread"]) == before
            codex.turn(copy["thread_id"], "and now here")


def test_codex_sees_the_tree_and_the_names_of_what_was_imported(source: CodexHome, home: CodexHome) -> None:
    ids = ids_of(source)
    root = ids["tree_root"]
    receipt = handed_over(source, home, root)
    handed_over(source, home, ids["l_named"])
    with source.server() as codex:
        name = codex.request("thread/read", {"threadId": ids["l_named"]})["thread"]["name"]
    with home.server() as codex:
        listed = {one["id"]: one for one in codex.request("thread/list", {"limit": 100})["data"]}
        assert {root, ids["l_named"]} <= listed.keys()
        assert listed[ids["l_named"]]["name"] == name
        below = codex.request("thread/list", {"ancestorThreadId": root, "limit": 100})["data"]
        assert {one["id"] for one in below} == {row["thread_id"] for row in receipt["data"]} - {root}
        for row in receipt["data"]:
            assert said(resumed(codex, row["thread_id"])["thread"])


def test_codex_unarchives_an_imported_thread_that_was_archived(source: CodexHome, home: CodexHome) -> None:
    thread_id = ids_of(source)["l_archived"]
    assert handed_over(source, home, thread_id)["data"][0]["archived"]
    with home.server() as codex:
        codex.request("thread/unarchive", {"threadId": thread_id})
        assert said(resumed(codex, thread_id)["thread"])


def test_codex_resumes_a_thread_that_was_imported_while_it_ran(
    source: CodexHome, home: CodexHome, tmp_path: Path
) -> None:
    thread_id = ids_of(source)["p_three_turns_shell"]
    with home.server() as codex:
        codex.request("thread/list", {})
        handed_over(source, home, thread_id)
        assert said(resumed(codex, thread_id)["thread"])
        codex.turn(thread_id, "and now here")
