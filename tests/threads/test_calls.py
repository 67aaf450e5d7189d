"""What the agent did and only the model's history tells: each is an item, once, in its turn."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rollout_lines import (
    aborted,
    agent,
    call,
    completed,
    ended,
    event,
    folded,
    ids,
    kinds,
    output,
    response,
    started,
    user,
)

from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.texts import searchable
from mcp_server.models.turn import Item
from mcp_server.models.value import Json


def search(query: str, **fields: Any) -> RolloutLine:
    return response("web_search_call", status="completed", action={"type": "search", "query": query}, **fields)


def searched(query: str, call_id: str) -> RolloutLine:
    return event("web_search_end", call_id=call_id, query=query, action={"type": "search", "query": query})


def shell(call_id: str | None = "s", **fields: Any) -> RolloutLine:
    action = {"type": "exec", "command": ["bash", "-lc", "ls -l"], "working_directory": "/w"}
    return response("local_shell_call", call_id=call_id, status="in_progress", action=action, **fields)


def told(text: str) -> RolloutLine:
    return response("message", role="user", content=[{"type": "input_text", "text": text}])


def user_shell(command: str, result: str = "") -> RolloutLine:
    inside = f"<result>\n{result}\n</result>\n" if result else ""
    return told(f"<user_shell_command>\n<command>\n{command}\n</command>\n{inside}</user_shell_command>")


def passing_through(line: RolloutLine, turn_id: str) -> RolloutLine:
    """The line as Codex writes it since it ties what the model did to a turn."""
    line.payload["internal_chat_message_metadata_passthrough"] = {"turn_id": turn_id}
    return line


def second(*lines: RolloutLine) -> Item:
    """The item after the question."""
    (turn,) = folded(user("q"), *lines)
    return turn.items[1]


# ---------------------------------------------------------------------------------------------- searches


@pytest.mark.parametrize(
    ("action", "query"),
    [
        ({"type": "search", "query": "axolotl"}, "axolotl"),
        ({"type": "search", "queries": ["axolotl", "newt"]}, "axolotl, newt"),
        ({"type": "open_page", "url": "https://e/x"}, "https://e/x"),
        (None, ""),
    ],
)
def test_a_web_search_without_an_event_is_an_item_with_its_query(action: Any, query: str):
    item = second(response("web_search_call", status="completed", action=action))

    assert (item.type, item["query"]) == ("webSearch", query)


@pytest.mark.parametrize("events_first", [True, False])
def test_a_web_search_recorded_both_ways_is_shown_once_with_the_id_of_its_event(events_first: bool):
    both = [searched("newt", "w1"), search("newt")]
    (turn,) = folded(user("q"), *(both if events_first else both[::-1]), search("axolotl"), agent("a"))

    assert kinds(turn) == ["userMessage", "webSearch", "webSearch", "agentMessage"]
    assert [item["query"] for item in turn.items[1:3]] == ["newt", "axolotl"]
    assert turn.items[1].id == "w1"


@pytest.mark.parametrize("events_first", [True, False])
def test_the_same_search_made_twice_is_shown_twice(events_first: bool):
    both = [searched("newt", "w1"), search("newt"), searched("newt", "w2"), search("newt")]
    (turn,) = folded(user("q"), *(both if events_first else both[::-1]))

    assert sorted(item.id for item in turn.items[1:]) == ["w1", "w2"]


def test_a_web_search_recorded_both_ways_with_one_id_keeps_it():
    (turn,) = folded(user("q"), search("newt", id="w"), searched("newt", "w"), search("newt", id="w"))

    assert ids([turn]) == [["item-1", "w"]]


def test_a_tool_search_is_a_tool_call_with_the_names_that_it_found():
    found = {"status": "completed", "tools": [{"name": "read_mail", "description": "long"}, {"name": "send_mail"}]}
    item = second(
        response("tool_search_call", call_id="t", status="completed", arguments={"query": "mail"}),
        response("tool_search_output", call_id="t", **found),
    )

    assert (item.id, item["tool"], item["arguments"]) == ("t", "tool_search", {"query": "mail"})
    assert item["content_items"] == [{"type": "inputText", "text": "read_mail\nsend_mail"}]
    assert item["status"] == "completed"


def test_a_tool_search_of_the_provider_without_call_ids_gets_its_output():
    item = second(
        response("tool_search_call", call_id=None, execution="server", arguments={"query": "mail"}),
        response("tool_search_output", call_id=None, execution="server", tools=[{"name": "read_mail"}]),
    )

    assert item["content_items"] == [{"type": "inputText", "text": "read_mail"}]


# ---------------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize(
    ("written", "text", "code", "ms"),
    [
        ("total 0", "total 0", None, None),
        (json.dumps({"output": "x", "metadata": {"exit_code": 2, "duration_seconds": 0.5}}), "x", 2, 500),
        ("Exit code: 1\nWall time: 1.5 seconds\nTotal output lines: 3\nOutput:\nx", "x", 1, 1500),
        ([{"type": "input_text", "text": "x"}], "x", None, None),
    ],
)
def test_a_local_shell_call_is_a_command_with_its_output(written: Any, text: str, code: int | None, ms: int | None):
    item = second(shell(), output("s", written))

    assert (item.type, item.id, item["command"], item["cwd"]) == ("commandExecution", "s", "bash -lc 'ls -l'", "/w")
    assert (item["aggregated_output"], item["exit_code"], item["duration_ms"]) == (text, code, ms)
    assert item["status"] == ("failed" if code else "completed")


def test_a_local_shell_call_that_has_an_id_and_no_call_id_gets_its_output_by_that():
    assert second(shell(None, id="i"), output("i", "files"))["aggregated_output"] == "files"


def test_a_command_recorded_both_ways_is_shown_once():
    (turn,) = folded(
        started("a"), shell("c"), completed("a", {"type": "CommandExecution", "id": "c", "command": ["ls"]}), ended("a")
    )

    assert [item["command"] for item in turn.items] == ["ls"]


def test_a_command_of_the_user_is_an_item_with_its_result():
    report = "Exit code: 3\nDuration: 0.0250 seconds\nOutput:\nno such file\n"
    (turn,) = folded(started("a"), user_shell("cat narwhal", report), ended("a"))

    (item,) = turn.items
    assert (item.type, item["source"], item["command"]) == ("commandExecution", "userShell", "cat narwhal")
    assert (item["aggregated_output"], item["exit_code"], item["duration_ms"]) == ("no such file\n", 3, 25)


def test_a_command_of_the_user_outside_of_any_turn_has_one_of_its_own():
    first, after = folded(user_shell("ls"), user("q"))

    assert (kinds(first), kinds(after)) == (["commandExecution"], ["userMessage"])


@pytest.mark.parametrize("events_first", [True, False])
def test_a_command_of_the_user_recorded_both_ways_is_shown_once(events_first: bool):
    command = {"type": "CommandExecution", "id": "c", "command": ["bash", "-lc", "ls"], "source": "user_shell"}
    both = [completed("a", command), user_shell("ls")]
    for paginated in (True, False):
        (turn,) = folded(
            started("a"), *(both if events_first else both[::-1]), user_shell("pwd"), ended("a"), paginated=paginated
        )
        assert [item["command"] for item in turn.items] == ["bash -lc ls", "pwd"]


def test_a_picture_that_the_model_made_is_an_item_without_its_bytes():
    made = response("image_generation_call", id="g", status="completed", revised_prompt="a newt", result="A" * 4000)
    item = second(made)

    assert (item.type, item["revised_prompt"], item["result"]) == (
        "imageGeneration",
        "a newt",
        "[base64, 3 kB, left out]",
    )


# ---------------------------------------------------------------------------------------------- which turn


def test_a_call_after_an_abort_is_in_the_aborted_turn():
    for begin in ([], [started("a")]):
        turns = folded(*begin, user("one"), aborted(None), call("c"), output("c", "late"), user("two"), agent("re"))

        assert [kinds(turn) for turn in turns] == [["userMessage", "dynamicToolCall"], ["userMessage", "agentMessage"]]
        assert turns[0].status == "interrupted"
        assert turns[0].items[1]["content_items"] == [{"type": "inputText", "text": "late"}]


def test_a_call_that_names_its_turn_is_in_it_though_the_next_has_begun():
    turns = folded(
        started("a"),
        user("one"),
        aborted("a"),
        started("b"),
        passing_through(call("c"), "a"),
        output("c", "late"),
        passing_through(call("d"), "b"),
        ended("b"),
    )

    assert ids(turns) == [["item-1", "c"], ["d"]]


def test_a_call_of_a_turn_that_was_rolled_back_is_in_none():
    turns = folded(user("one"), user("two"), aborted(None), event("thread_rolled_back", num_turns=1), call("c"))

    assert ids(turns) == [["item-1"]]


# ---------------------------------------------------------------------------------------------- base64

PICTURE = "data:image/png;base64," + "iVBORw0KGgo" * 400


@pytest.mark.parametrize(
    "written",
    [
        [{"type": "input_image", "image_url": PICTURE}, {"type": "input_text", "text": "a newt"}],
        {"content": [{"type": "input_image", "image_url": PICTURE}, {"type": "input_text", "text": "a newt"}]},
        json.dumps([{"type": "image_url", "image_url": {"url": PICTURE}}, {"type": "text", "text": "a newt"}]),
    ],
)
def test_a_picture_in_an_output_is_shown_as_a_word_with_its_size_and_not_searched(written: Any):
    item = second(call("c"), output("c", written))

    texts, _ = searchable(item)
    assert not any("iVBOR" in text for text in texts)
    assert any("a newt" in text for text in texts)
    assert any("[image/png, 3 kB, left out]" in text for text in texts)


@pytest.mark.parametrize("kind", ["image", "audio", "resource"])
def test_bytes_in_an_answer_of_an_mcp_tool_are_shown_as_a_word_with_their_size(kind: str):
    held = {"mimeType": "x/y", "blob" if kind == "resource" else "data": "QUJD" * 100}
    content = [{"type": kind, "resource": held} if kind == "resource" else {"type": kind, **held}]
    results: list[Json] = [{"content": content}, {"content": [], "structuredContent": {"parts": content}}]
    for result in ({"Ok": result} for result in results):
        told = json.dumps(second(event("mcp_tool_call_end", call_id="m", invocation={}, result=result)))

        assert "QUJD" not in told
        assert "[x/y, 300 bytes, left out]" in told


def test_base64_in_what_was_said_is_kept_and_not_searched():
    (turn,) = folded(user(f"look: {PICTURE}"))

    assert turn.items[0]["content"][0]["text"] == f"look: {PICTURE}"
    assert searchable(turn.items[0]) == (["look: [image/png, 3 kB, left out]"], False)
