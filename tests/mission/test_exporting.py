"""thread_export and thread_import: a tree leaves one home as a file and arrives in another."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path

import pytest
from mcp import Client
from mcp_types import ResourceLink

from mcp_server.config import Config
from mcp_server.server import build_server
from tests.mission.conftest import Era, Refused, Tools, connect_to, grow, rollouts

pytestmark = pytest.mark.anyio

SUFFIXES = {"markdown": ".md", "html": ".html", "bundle": ".zip", "atif": ".json"}


async def test_a_tree_goes_to_another_home_by_two_calls(tools: Tools, home: Path, tmp_path: Path, era: Era) -> None:
    tree = await grow(tools)
    await tools("thread_update", thread_id=tree.root, tags=["shop"])
    answer = await tools("thread_export", thread_id="the root", format="bundle")
    assert answer["threads"] == 4
    async with connect_to(tmp_path / "other", era)() as there:
        told = await there("thread_import", path=answer["path"], dry_run=True)
        assert await there.listed() == []
        receipt = await there("thread_import", path=answer["path"], map={"/nowhere": "/else"})
        assert told["data"] == receipt["data"]
        assert {row["thread_id"] for row in receipt["data"]} == set(tree.all())
        root = (await there("thread_read", thread_id=tree.root))["thread"]
        assert (root["name"], root["tags"]) == ("the root", ["shop"])
        assert (await there("thread_tree", thread_id=tree.root))["total"] == 4
        assert (await there("thread_search", search_term="leaf"))["data"]
    ours, theirs = rollouts(home), rollouts(tmp_path / "other")
    assert [path.name for path in ours] == [path.name for path in theirs]
    assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs]


async def test_what_is_imported_again_gets_new_ids_and_can_be_gone_on_with(tools: Tools) -> None:
    tree = await grow(tools)
    path = (await tools("thread_export", thread_id=tree.root, format="bundle"))["path"]
    receipt = await tools("thread_import", path=path)
    assert receipt["new_ids"] == 4
    assert {row["old_id"] for row in receipt["data"]} == set(tree.all())
    await tools.go_on(receipt["thread_id"], "and on")
    assert "thread/started" in await tools.events(receipt["thread_id"])


@pytest.mark.parametrize("form", SUFFIXES)
async def test_an_export_is_a_file_below_the_home_and_a_resource(home: Path, form: str) -> None:
    async with Client(build_server(Config.load(home))) as client:
        tools = Tools(client)
        thread_id = await tools.written("the question", name="A/b: ..\\c")
        result = await client.call_tool("thread_export", {"thread_id": thread_id, "format": form})
        answer = dict(result.structured_content or {})
        (link,) = (part for part in result.content if isinstance(part, ResourceLink))
        (content,) = (await client.read_resource(link.uri)).contents
    file = Path(answer["path"])
    assert (file.parent, file.suffix) == (home / "threadstore-exports", SUFFIXES[form])
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    data = file.read_bytes()
    assert (answer["size"], answer["sha256"]) == (len(data), sha256(data).hexdigest())
    assert (link.name, link.size) == (file.name, len(data))
    assert base64.b64decode(getattr(content, "blob", "")) == data
    assert form == "bundle" or b"the question" in data


async def test_secrets_are_masked_on_request_and_counted(tools: Tools) -> None:
    secret = "ghp_" + "a1B2" * 9
    thread_id = await tools.written(f"use {secret}")
    for form in SUFFIXES:
        answer = await tools("thread_export", thread_id=thread_id, format=form, redact=True)
        assert answer["masked"]["github-token"] >= 1
        assert secret.encode() not in Path(answer["path"]).read_bytes()


@pytest.mark.parametrize("path", ["/nowhere/x.zip", "../config.toml", "x.zip", "", "/dev/zero", "a\0b"])
async def test_a_path_that_is_no_bundle_is_refused(tools: Tools, path: str) -> None:
    with pytest.raises(Refused) as refused:
        await tools("thread_import", path=path)
    assert refused.value.code == "invalid_argument"


async def test_a_file_that_is_no_bundle_is_refused(tools: Tools, tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("a password: hunter2", encoding="utf-8")
    with pytest.raises(Refused) as refused:
        await tools("thread_import", path=str(file))
    assert refused.value.code == "unusable_bundle"
    assert "hunter2" not in refused.value.sentence


async def test_an_import_that_is_repeated_with_its_request_id_is_done_once(tools: Tools) -> None:
    thread_id = await tools.written("hello")
    path = (await tools("thread_export", thread_id=thread_id, format="bundle"))["path"]
    first = await tools("thread_import", path=path, request_id="one")
    assert await tools("thread_import", path=path, request_id="one") == first
    assert len(await tools.listed()) == 2
