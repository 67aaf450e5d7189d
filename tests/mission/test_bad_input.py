"""Bad input: a sentence that names the value, the reason and the way out; nothing lost, the server still answering."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client

from mcp_server.config import Config
from mcp_server.server import build_server
from tests.mission.conftest import Connect, Json, Refused, Tools, rollouts

pytestmark = pytest.mark.anyio

UNKNOWN = "01a20564-0000-7000-8000-000000000000"
# tool, arguments, code, what the sentence says
REFUSALS: list[tuple[str, Json, str, tuple[str, ...]]] = [
    ("thread_read", {"thread_id": UNKNOWN}, "thread_not_found", (UNKNOWN, "thread_list")),
    ("thread_read", {"thread_id": "no such name"}, "thread_not_found", ("no such name", "thread_list")),
    ("thread_read", {"thread_id": ""}, "invalid_thread_id", ("blank", "pass an id")),
    ("thread_read", {"thread_id": "../../etc/passwd"}, "thread_not_found", ("../../etc/passwd", "thread_list")),
    ("thread_read", {"thread_id": "a\0b"}, "invalid_thread_id", ("null byte", "pass an id")),
    ("thread_archive", {"thread_id": f"../{UNKNOWN}"}, "thread_not_found", (UNKNOWN,)),
    ("thread_resume", {"thread_id": UNKNOWN}, "thread_not_found", (UNKNOWN,)),
    ("thread_unarchive", {"thread_id": UNKNOWN}, "thread_not_found", (UNKNOWN,)),
    ("turn_start", {"thread_id": UNKNOWN, "input": "x"}, "thread_not_loaded", (UNKNOWN, "thread_resume")),
    ("thread_list", {"cursor": "garbage"}, "invalid_cursor", ("garbage", "next_cursor")),
    ("thread_list", {"cursor": ""}, "invalid_cursor", ("next_cursor",)),
    ("thread_loaded_list", {"cursor": "garbage"}, "invalid_cursor", ("garbage",)),
    ("thread_search", {"search_term": "  "}, "invalid_argument", ("search_term", "non-empty")),
    ("thread_search", {"search_term": "x", "cursor": "garbage"}, "invalid_cursor", ("garbage",)),
    ("thread_list", {"sort_key": "birth"}, "invalid_argument", ("sort_key", "birth", "updated_at")),
    ("thread_list", {"source_kinds": ["bogus"]}, "invalid_argument", ("bogus", "subAgentOther")),
    ("thread_list", {"limit": "many"}, "invalid_argument", ("limit", "many", "integer")),
    ("thread_list", {"since": "last week"}, "invalid_argument", ("since", "neither a date", "yesterday or 7d")),
    ("thread_list", {"parent_thread_id": UNKNOWN, "ancestor_thread_id": UNKNOWN}, "invalid_argument", ("exclusive",)),
    ("thread_start", {"sandbox": "bogus"}, "invalid_argument", ("sandbox", "bogus", "workspace-write")),
    ("thread_start", {"cwd": "a\0b"}, "invalid_argument", ("cwd", "null byte", "absolute path")),
    ("thread_start", {"name": " "}, "invalid_argument", ("name", "blank")),
    ("thread_start", {"parent_thread_id": UNKNOWN}, "thread_not_found", (UNKNOWN,)),
    ("thread_start", {"name": "x\ud800"}, "invalid_argument", ("name", "surrogate", "Unicode")),
    ("thread_read", {}, "invalid_argument", ("thread_id", "required")),
    ("events_read", {"after": -1}, "invalid_argument", ("after", "-1", "last_seq")),
    ("events_read", {"types": ["bogus"]}, "invalid_argument", ("bogus", "turn/started")),
    ("events_read", {"wait_seconds": 51}, "invalid_argument", ("wait_seconds", "51", "50")),
    ("thread_unsubscribe", {}, "invalid_argument", ("subscription_id", "thread_id")),
]


@pytest.mark.parametrize(("tool", "arguments", "code", "says"), REFUSALS)
async def test_a_bad_call_is_refused_in_a_sentence_that_helps(
    home: Path, tools: Tools, tool: str, arguments: Json, code: str, says: tuple[str, ...]
) -> None:
    thread_id = await tools.written("untouched")
    before = [path.read_bytes() for path in rollouts(home)]
    with pytest.raises(Refused) as refused:
        await tools(tool, **arguments)
    assert refused.value.code == code
    for words in says:
        assert words in refused.value.sentence
    assert [path.read_bytes() for path in rollouts(home)] == before
    assert await tools.listed() == [thread_id]


BAD_TURNS: list[tuple[str, Json, str]] = [
    ("turn_start", {"input": ""}, "invalid_argument"),
    ("turn_start", {"input": " \n"}, "invalid_argument"),
    ("turn_start", {"input": []}, "invalid_argument"),
    ("turn_start", {"input": [{"type": "image"}]}, "invalid_argument"),
    ("turn_start", {"input": [{"type": "bogus", "text": "x"}]}, "invalid_argument"),
    ("turn_append", {"items": [{"type": "agentMessage", "text": "x"}]}, "no_turn_in_progress"),
    ("turn_append", {"items": []}, "invalid_argument"),
    ("turn_complete", {}, "no_turn_in_progress"),
    ("turn_complete", {"status": "done"}, "invalid_argument"),
    ("thread_update", {"name": "  "}, "invalid_argument"),
    ("thread_update", {}, "invalid_argument"),
    ("thread_update", {"git_info": {}}, "invalid_argument"),
    ("thread_update", {"git_info": {"branch": " "}}, "invalid_argument"),
    ("thread_items", {"turn_id": "nope"}, "turn_not_found"),
    ("thread_items", {"item_id": "nope"}, "invalid_argument"),
    ("thread_items", {"cursor": "after:nope"}, "invalid_cursor"),
    ("thread_read", {"include_turns": True, "cursor": "nope"}, "invalid_cursor"),
    ("thread_fork", {"last_turn_id": "nope"}, "turn_not_found"),
    ("thread_fork", {"last_turn_id": "a", "before_turn_id": "b"}, "invalid_argument"),
    ("thread_delete", {"confirm_thread_id": "something else"}, "confirmation_required"),
]


@pytest.mark.parametrize(("tool", "arguments", "code"), BAD_TURNS)
async def test_a_bad_call_on_a_good_thread_changes_nothing(
    home: Path, tools: Tools, tool: str, arguments: Json, code: str
) -> None:
    thread_id = await tools.written("untouched", name="kept")
    before = [path.read_bytes() for path in rollouts(home)]
    with pytest.raises(Refused) as refused:
        await tools(tool, thread_id=thread_id, **arguments)
    assert refused.value.code == code
    assert [path.read_bytes() for path in rollouts(home)] == before
    assert (await tools("thread_read", thread_id=thread_id))["thread"]["name"] == "kept"
    assert await tools.loaded() == [thread_id]


async def test_a_batch_with_one_bad_item_is_not_written_at_all(home: Path, tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="hello")
    (rollout,) = rollouts(home)
    before = rollout.read_bytes()
    good = {"type": "agentMessage", "text": "good"}
    for bad in ({"type": "agentMessage", "text": "\ud800"}, {"type": "agentMessage", "text": " "}, {"type": "bogus"}):
        with pytest.raises(Refused):
            await tools("turn_append", thread_id=thread_id, items=[good, bad])
    assert rollout.read_bytes() == before
    assert (await tools("turn_append", thread_id=thread_id, items=[good]))["item_ids"] == ["item-2"]


async def test_ambiguous_prefixes_and_names_list_the_candidates(tools: Tools) -> None:
    one, other = await tools.written(name="twin"), await tools.written(name="twin")
    if not other.startswith(one[:8]):  # the first eight characters tell the time to about a minute, which was just over
        one, other = other, await tools.written(name="twin")
    shared = one[:8]
    assert other.startswith(shared)
    for reference in ("twin", shared):
        with pytest.raises(Refused) as refused:
            await tools("thread_read", thread_id=reference)
        assert refused.value.code == "ambiguous_reference"
        assert one[:13] in refused.value.sentence
        assert other[:13] in refused.value.sentence
    assert (await tools("thread_read", thread_id=one[:-1]))["thread"]["id"] == one
    assert (await tools("thread_read", thread_id=one.upper()))["thread"]["id"] == one


async def test_text_of_ten_megabytes_is_kept_whole_and_shown_in_parts(tools: Tools) -> None:
    text = "0123456789" * 1_000_000
    thread_id = await tools.start()
    started = await tools("turn_start", thread_id=thread_id, input="big")
    await tools("turn_append", thread_id=thread_id, items=[{"type": "agentMessage", "text": text}])
    answer = await tools("thread_items", thread_id=thread_id, turn_id=started["turn"]["id"])
    entry = answer["data"][1]
    assert entry["item"]["truncated"] == {"text": len(text)}
    rest = await tools("thread_items", thread_id=thread_id, item_id="item-2", text_offset=9_999_990, max_chars=50)
    assert rest["data"][0]["item"]["text"] == "0123456789"


async def test_null_bytes_in_text_are_kept(tools: Tools, connect: Connect) -> None:
    thread_id = await tools.written("a\0b", name="n\0ame")
    items = await tools("thread_items", thread_id=thread_id)
    assert items["data"][0]["item"]["content"][0]["text"] == "a\0b"


async def test_a_resource_that_is_not_there_is_invalid_params_with_its_uri(tools: Tools) -> None:
    from mcp.shared.exceptions import MCPError

    for uri in (f"thread://{UNKNOWN}", "thread://x/transcript", "threads://nothing"):
        with pytest.raises(MCPError) as refused:
            await tools.client.read_resource(uri)
        assert refused.value.error.code == -32602
        assert refused.value.error.data == {"uri": uri}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60))
async def test_no_text_whatever_crashes_a_tool_or_leaves_the_home(tmp_path: Path, text: str) -> None:
    home = tmp_path / "home"
    async with Client(build_server(Config.load(home, state=False))) as client:
        tools = Tools(client)
        calls: list[tuple[str, Json]] = [
            ("thread_read", {"thread_id": text}),
            ("thread_archive", {"thread_id": text}),
            ("thread_list", {"cursor": text}),
            ("thread_list", {"search_term": text, "cwd": text}),
            ("thread_search", {"search_term": text, "cursor": text}),
            ("thread_start", {"name": text, "agent_nickname": text}),
            ("thread_unsubscribe", {"thread_id": text, "subscription_id": text}),
        ]
        for tool, arguments in calls:
            assert await _code_of(tools, tool, arguments) != "none", (tool, arguments)
    assert {path.name for path in tmp_path.iterdir()} <= {"home"}


async def _code_of(tools: Tools, tool: str, arguments: Json) -> str | None:
    """The code of the refusal, None for success; "none" for an error that is not one of the domain's."""
    try:
        await tools(tool, **arguments)
    except Refused as refused:
        return refused.code
    return None


def test_over_stdio_broken_messages_leave_the_server_answering(tmp_path: Path) -> None:
    def request(number: int, method: str, params: Any) -> str:
        return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    surrogate = (
        '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"thread_start","arguments":{"name":"\\ud800"}}}'
    )
    lines = [
        request(1, "initialize", hello),
        '{"jsonrpc":"2.0","method":"notifications/initialized"}',
        "this is no JSON",
        '{"jsonrpc":"2.0","id":2,"method":"no/such/method"}',
        surrogate,
        request(4, "tools/call", {"name": "thread_list", "arguments": {}}),
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "mcp_server", "serve", "--home", str(tmp_path / "home")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("\n".join(lines) + "\n")
    server.stdin.flush()
    answers: dict[Any, Any] = {}
    while 4 not in answers:
        message = json.loads(server.stdout.readline())  # every line on stdout is a message of the protocol
        answers[message.get("id")] = message
    assert answers[4]["result"]["structuredContent"]["total"] == 0
    assert "error" in answers[2]
    server.stdin.close()
    assert server.wait(timeout=20) == 0
