"""A message that can't be taken is answered with a sentence, to whoever can be read in it; the next one is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import JSONRPCNotification, JSONRPCRequest

from mcp_server.handlers.malformed import Malformed, check_body, read_message
from tests.bare import bare, call, hello, request
from tests.mission.conftest import Era
from tests.servers import serving_http

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bare", "version": "1"},
}
GOOD = json.dumps(
    {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "thread_loaded_list", "_meta": META}}
)
# what comes, what stands for its id in the answer, the code, what the sentence says
FAULTS: dict[str, tuple[str, Any, int, str]] = {
    "it is cut off": (GOOD[:-3], 5, -32700, "not JSON"),
    "it is cut off before its id": ('{"jsonrpc":"2.0","method":"tools/li', None, -32700, "not JSON"),
    "it is not JSON at all": ("Content-Length: 20", None, -32700, "not JSON"),
    "its id is text": (GOOD.replace('"id": 5', '"id": "five"')[:-1], "five", -32700, "not JSON"),
    "its id comes last": ('{"jsonrpc":"2.0","method":"x","params":{\'a\': {"id": 6}}, "id": 5}', 5, -32700, "not JSON"),
    "half a character is in it": (GOOD.replace("thread_l", "\\ud83d"), 5, -32700, "half of a character"),
    "the other half is in it": (GOOD.replace("thread_l", "\\ude00"), 5, -32700, "half of a character"),
    "it is nested too deeply": (GOOD[:-1] + ',"x":' + "[" * 5_000 + "]" * 5_000 + "}", 5, -32700, "recursion limit"),
    "it is a batch of one": (f"[{GOOD}]", 5, -32600, "batch"),
    "it is an empty batch": ("[]", None, -32600, "batch"),
    "it is a number": ("5", None, -32600, "not an object"),
    "its params are a list": ('{"jsonrpc":"2.0","id":5,"method":"tools/list","params":[1]}', 5, -32602, "params"),
    "it has no version": ('{"id":5,"method":"tools/list"}', 5, -32600, "jsonrpc"),
    "it has no method": ('{"jsonrpc":"2.0","id":5,"params":{}}', 5, -32600, "method"),
    "its method is a number": ('{"jsonrpc":"2.0","id":5,"method":7}', 5, -32600, "method"),
    "its id is a fraction": ('{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}', None, -32600, "id: a request has"),
    "its id is null": ('{"jsonrpc":"2.0","id":null,"method":"tools/list"}', None, -32600, "id: a request has"),
    "nobody knows its method": ('{"jsonrpc":"2.0","id":5,"method":"tools/nope","params":{}}', 5, -32601, "Method not"),
}


async def test_over_stdio_a_malformed_request_is_answered_by_its_id_and_the_next_is_served(home: Path) -> None:
    async with bare(home) as server:
        for text, request_id, code, says in FAULTS.values():
            await server.send(text.encode() + b"\n")
            answer = await server.read()
            assert (answer["id"], answer["error"]["code"]) == (request_id, code)
            assert says in answer["error"]["message"]
        await server.send(call(6, "thread_loaded_list"))
        assert "result" in await server.answer(6)


async def test_over_stdio_each_request_of_a_batch_is_answered_and_blank_lines_and_notifications_are_not(
    home: Path,
) -> None:
    one, other = request(7, "ping").strip(), request("8", "ping").strip()
    notification = b'{"jsonrpc":"2.0","method":"notifications/progress","params":[]}'
    async with bare(home) as server:
        await server.send(b"\n \n" + notification + b"\n[" + one + b"," + notification + b"," + other + b"]\n")
        told = [await server.read(), await server.read()]
        assert [answer["id"] for answer in told] == [7, "8"]
        assert {answer["error"]["code"] for answer in told} == {-32600}
        await server.send(request(9, "ping"))
        assert (await server.read())["id"] == 9


async def test_over_stdio_a_byte_order_mark_before_a_request_is_passed_over(home: Path) -> None:
    async with bare(home) as server:
        await server.send(b"\xef\xbb\xbf" + call(5, "thread_loaded_list"))
        assert (await server.answer(5))["result"]["structuredContent"]["total"] == 0


async def test_a_malformed_answer_to_a_question_is_a_no(home: Path) -> None:
    async with bare(home, greeting=hello(elicitation={})) as server:
        thread_id = (await server.ask(1, "thread_start"))["thread"]["id"]
        await server.ask(2, "turn_start", thread_id=thread_id, input="kept")
        await server.ask(3, "turn_complete", thread_id=thread_id)
        await server.send(call(4, "thread_delete", thread_id=thread_id))
        while (question := await server.read()).get("method") != "elicitation/create":
            pass
        await server.send(json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": "yes"}).encode() + b"\n")
        answer = await server.answer(4)
        assert "error" in answer or answer["result"]["isError"]
        assert (await server.ask(5, "thread_list"))["total"] == 1


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving_http(tmp_path_factory.mktemp("home")) as url:
        yield url


async def post(client: httpx2.AsyncClient, url: str, body: bytes, era: Era) -> httpx2.Response:
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if era == "legacy":
        opened = await client.post(url, content=request(0, "initialize", HELLO), headers=headers)
        headers |= {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
    else:
        headers |= {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "thread_loaded_list"}
    return await client.post(url, content=body, headers=headers)


HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bare", "version": "1"}}
ILLEGIBLE = [name for name in FAULTS if name != "nobody knows its method"]


@pytest.mark.parametrize("name", ILLEGIBLE)
async def test_over_http_the_answer_has_the_id_and_the_sentence_in_both_eras(url: str, name: str, era: Era) -> None:
    text, request_id, code, says = FAULTS[name]
    async with httpx2.AsyncClient() as client:
        response = await post(client, url, text.encode(), era)
    assert response.status_code == 400
    answer = response.json()
    assert (answer["id"], answer["error"]["code"]) == (request_id, code)
    assert says in answer["error"]["message"]


async def test_over_http_a_byte_order_mark_is_passed_over_and_other_bytes_are_refused(url: str, era: Era) -> None:
    params = {"name": "thread_loaded_list", **({"_meta": META} if era == "auto" else {})}
    good = json.dumps({**json.loads(GOOD), "params": params})
    async with httpx2.AsyncClient() as client:
        served = await post(client, url, b"\xef\xbb\xbf" + good.encode(), era)
        refused = await post(client, url, good.encode().replace(b"thread_l", b"\xff"), era)
    assert '"total":0' in served.text
    assert (refused.status_code, refused.json()["id"]) == (400, 5)
    assert "not UTF-8 at byte" in refused.json()["error"]["message"]


# ---------------------------------------------------------------------------------------------- whatever comes

IDS = st.one_of(st.integers(-(10**20), 10**20), st.text(max_size=8))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "a", "method"]), inner, max_size=3)
    ),
    max_leaves=8,
)
PARAMS = st.dictionaries(st.sampled_from(["id", "name", "arguments"]), VALUES, max_size=3)


@given(IDS, PARAMS, st.data())
def test_wherever_a_request_is_cut_its_id_is_read_if_it_came_and_no_other_ever(
    request_id: int | str, params: dict[str, Any], data: st.DataObject
) -> None:
    first = data.draw(st.booleans(), "the id comes first")
    named = {"id": request_id, "method": "tools/call", "params": params}
    message = {"jsonrpc": "2.0", **(named if first else dict(reversed(named.items())))}
    text = json.dumps(message)
    cut = text[: data.draw(st.integers(0, len(text) - 1), "cut at")]
    read = read_message(cut)
    assert isinstance(read, Malformed)
    assert read.requests in ((request_id,), ())
    if first and cut.startswith(f'{{"jsonrpc": "2.0", "id": {json.dumps(request_id)},'):
        assert [answer.id for answer in read.answers()] == [request_id]


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bytes_of_any_kind_are_a_message_or_a_fault_with_an_answer(body: bytes) -> None:
    fault = check_body(body)
    if fault is not None:
        assert fault.silent or fault.replies or fault.answers()
        assert fault.error.message


@given(IDS, PARAMS)
def test_a_good_request_and_a_notification_are_taken_as_they_are(request_id: int | str, params: dict[str, Any]) -> None:
    named = {"jsonrpc": "2.0", "method": "x", "params": params}
    assert read_message(json.dumps({**named, "id": request_id})) == JSONRPCRequest(
        jsonrpc="2.0", id=request_id, method="x", params=params
    )
    assert isinstance(read_message("\ufeff" + json.dumps(named)), JSONRPCNotification)
