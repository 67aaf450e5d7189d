"""An export as HTML is the built page with the threads in it as data, in the facts of the page's own answers. What
others wrote stays data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex.files import RolloutRef
from mcp_server.models.facts import facts
from mcp_server.models.params import ExportParams, OutlineParams, ReadParams, ThreadPatch
from mcp_server.models.results import ExportResult
from mcp_server.threads.built_page import FILE
from mcp_server.threads.hand_over.html import html
from mcp_server.threads.service import ThreadService
from tests.stores.rollout_text import event, user
from tests.threads.conftest import Home, Homes, spawned_by
from tests.threads.test_exports import ATTACKS, KID, ROOT, exported, plant, said, talk

Json = dict[str, Any]
SECRET = "ghp_" + "a1B2" * 9


class Seen(HTMLParser):
    """What a browser makes of a page: its elements, the title, and the parts of its data."""

    def __init__(self, pieces: Iterable[str]) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.title = ""
        self.data: list[tuple[str, Any]] = []
        for piece in pieces:
            self.feed(piece)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.elements[-1] if self.elements else ("", dict[str, str | None]())
        if tag == "title" and not self.title:
            self.title = data
        elif tag == "script" and (name := attributes.get("data-part")) and data.strip():
            self.data.append((name, json.loads(data)))

    def parts(self, name: str) -> list[Any]:
        return [value for part, value in self.data if part == name]

    @property
    def markup(self) -> list[tuple[str, dict[str, str | None]]]:
        """The elements that are no data."""
        return [(tag, attributes) for tag, attributes in self.elements if "data-part" not in attributes]

    @property
    def policy(self) -> str:
        (found,) = (attributes for _, attributes in self.elements if attributes.get("http-equiv"))
        assert found["http-equiv"] == "Content-Security-Policy"
        return found["content"] or ""


def seen(service: ThreadService, thread: str = ROOT) -> Seen:
    return Seen([exported(service, "html", thread)])


def is_the_built_page(page: Seen) -> bool:
    """Whether nothing but the policy and data was added to it."""
    built = Seen([FILE.read_text("utf-8")])
    return [one for one in page.markup if "http-equiv" not in one[1]] == built.markup


def redacted(service: ThreadService, thread: str = ROOT) -> tuple[str, ExportResult]:
    pieces: list[bytes] = []
    result = service.exporter.run(ExportParams(thread, "html", redact=True), pieces.append)
    return b"".join(pieces).decode(), result


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_stored_text_becomes_html(homes: Homes, attack: str) -> None:
    home = homes.new()
    talk(home, attack, attack, attack, cwd=f"/w/{attack}", originator=attack, agent_nickname=attack)
    service = home.service()
    service.metadata.update(ROOT, ThreadPatch(attack))
    page = seen(service)
    assert is_the_built_page(page)
    (turn,) = page.parts("turn")
    assert turn["items"][0]["content"][0]["text"] == attack
    assert page.title.endswith(" · Threadstore")


MARKS = ["</script>", "</SCRIPT/", "<script>", "<!--", "-->", "]]>", "</title>", "</body>", ">", "/", "\\", '"', "&lt;"]
TEXTS = st.lists(st.sampled_from(MARKS) | st.characters(codec="utf-8")).map("".join)


@given(TEXTS)
def test_no_text_at_all_becomes_html(text: str) -> None:
    page = Seen(html(text, [("turn", {"text": text, text: [text]})]))
    assert is_the_built_page(page)
    assert page.parts("turn") == [{"text": text, text: [text]}]


def test_the_data_is_what_the_tools_answer(home: Home) -> None:
    talk(home, "Is it **so**? " * 20, "Yes: `x`", "line one\nline two")
    plant(home, KID, event("task_started", turn_id="k1"), user("below"), said("done"), **spawned_by(ROOT))
    service = home.service()
    page = seen(service)
    assert [name for name, _ in page.data] == ["export", "turn", "thread", "turn", "thread", "tree"]
    for number, thread_id in enumerate((ROOT, KID)):
        read = facts(service.reader.read(ReadParams(thread_id, items_view="full")), detailed=True)
        outline = facts(service.outline.show(OutlineParams(thread_id)), detailed=True)
        told = page.parts("thread")[number]
        del read["thread"]["path"], read["thread"]["last_answer"], read["thread"]["model_provider"]
        if thread_id == KID:  # its turn has no end: an export tells how far it came
            read["turns"][0]["status"] = read["thread"]["last_turn"] = outline["data"][0]["status"] = "interrupted"
        assert [page.parts("turn")[number]] == read["turns"]
        assert told["thread"] == read["thread"]
        assert told["outline"] == outline["data"]
    nodes = facts(service.tree.show(ROOT), detailed=True)["nodes"]
    assert page.parts("tree") == [{"nodes": [nodes[0], nodes[1] | {"last_turn": "interrupted"}]}]


def test_the_page_may_run_itself_and_reach_nothing(home: Home) -> None:
    talk(home, "Why?", "So.")
    policy = dict(part.split(" ", 1) for part in seen(home.service()).policy.split("; "))
    assert policy["default-src"] == policy["connect-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["img-src"] == "data:"
    assert policy["script-src"].startswith("'sha256-")
    assert policy["style-src"].startswith("'sha256-")
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in str(policy)


def test_an_export_is_the_page_and_its_data_and_no_more(home: Home) -> None:
    talk(home, "Why?", "So.")
    page = exported(home.service(), "html")
    assert len(page.encode()) - FILE.stat().st_size < 4_000


def test_turns_are_written_one_by_one(home: Home) -> None:
    turns = [
        (event("task_started", turn_id=f"t{n}"), user(f"{n} " + "x" * 50_000), event("task_complete", turn_id=f"t{n}"))
        for n in range(30)
    ]
    plant(home, ROOT, *(line for turn in turns for line in turn))
    pieces: list[int] = []
    home.service().exporter.run(ExportParams(ROOT, "html"), lambda data: pieces.append(len(data)))
    assert len([size for size in pieces if 50_000 < size < 60_000]) == 30
    assert sum(pieces) > 1_500_000


def test_an_export_of_a_sub_agent_begins_with_it(home: Home) -> None:
    root, kid, leaf = home.plant(None, 0, 1)
    page = seen(home.service(), kid)
    assert [one["thread"]["id"] for one in page.parts("thread")] == [kid, leaf]
    (tree,) = page.parts("tree")
    assert [(node["thread_id"], node["depth"], node.get("parent_thread_id")) for node in tree["nodes"]] == [
        (kid, 0, None),
        (leaf, 1, kid),
    ]
    assert root not in json.dumps(tree)


def test_a_sub_agent_that_is_left_out_is_a_node_without_a_name(home: Home) -> None:
    root, kid = home.plant(None, 0)
    home.rollouts.remove(RolloutRef(home.path(kid)))
    (tree,) = seen(home.service(), root).parts("tree")
    assert tree["nodes"][1] == {
        "thread_id": kid,
        "parent_thread_id": root,
        "depth": 1,
        "title": "(left out)",
        "status": "missing",
        "edge": "open",
    }


@pytest.mark.parametrize("before", [0, 25, 105, 185, 285])
def test_redacted_means_every_text_and_nothing_is_cut_before_it_is_masked(home: Home, before: int) -> None:
    text = f"{'x' * before} {SECRET}"
    talk(
        home,
        text,
        text,
        text,
        agent_nickname=text,
        agent_role=text,
        originator=text,
        git={"branch": text, "repository_url": f"https://ada:{SECRET}@example.org/lamp"},
    )
    plant(
        home,
        KID,
        event("task_started", turn_id="k1"),
        user(text),
        event("error", message=text),
        event("task_complete", turn_id="k1"),
        **spawned_by(ROOT),
    )
    service = home.service()
    service.metadata.update(ROOT, ThreadPatch(text))
    page, result = redacted(service)
    assert SECRET[:8] not in page
    assert "[redacted:github-token]" in page
    assert Seen([page]).parts("export")[0]["redacted"] is True
    assert isinstance(result.masked, dict)
    assert result.masked["github-token"] > 5
