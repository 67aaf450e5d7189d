"""What we write, read by the real Codex app-server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_server.codex import writer as recording
from mcp_server.codex.fork import Numbering
from mcp_server.codex.lines import RolloutLine
from mcp_server.models.thread import GitInfo, Settings
from mcp_server.models.value import Json
from tests.histories import fork_lines

if TYPE_CHECKING:
    from tests.peer.conftest import CodexHome

NOW = 1_795_388_690_123
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def settings(tmp_path: Path) -> Settings:
    return Settings(
        model="mock-model",
        model_provider="mock",
        cwd=str(tmp_path),
        approval_policy="on-request",
        sandbox={"type": "readOnly", "networkAccess": False},
        reasoning_effort="high",
    )


def meta(thread_id: str, cwd: Path, **fields: Any) -> RolloutLine:
    given: dict[str, Any] = {
        "session_id": thread_id,
        "created_at_ms": NOW,
        "cwd": str(cwd),
        "originator": "client/1",
        "cli_version": "0.1.0",
        "source": "mcp",
        "model_provider": "mock",
        "base_instructions": "OUR BASE",
        **fields,
    }
    return recording.session_meta(thread_id, **given)


def said(turn_id: str, text: str) -> list[RolloutLine]:
    return [
        *recording.turn_started(turn_id, turn_id, NOW),
        *recording.user_message(turn_id, [{"type": "text", "text": text}], NOW),
        *recording.agent_message(turn_id, f"re: {text}", NOW),
        *recording.turn_completed(turn_id, turn_id, NOW, f"re: {text}", NOW + 1500),
    ]


def rich_turn(turn_id: str, thread_id: str) -> list[RolloutLine]:
    return [
        *recording.turn_started(turn_id, turn_id, NOW),
        *recording.user_message(
            turn_id, [{"type": "text", "text": "our question"}, {"type": "image", "url": PIXEL}], NOW
        ),
        *recording.reasoning(turn_id, "our thought", NOW),
        *recording.tool_call(turn_id, "call_1", "our_tool", {"n": 1}, NOW),
        *recording.tool_output(turn_id, "call_1", "our output", True, NOW),
        *recording.plan(turn_id, thread_id, "# our plan", NOW),
        *recording.agent_message(turn_id, "our answer", NOW),
        *recording.turn_completed(turn_id, turn_id, NOW, "our answer", NOW + 1500),
    ]


class Ours:
    """A thread of ours with a turn of every kind."""

    def __init__(self, home: CodexHome, cwd: Path) -> None:
        self.id = recording.new_id()
        self.turns = [recording.new_id() for _ in range(3)]
        rich, failed, interrupted = self.turns
        values = settings(cwd)
        turns = rich_turn(rich, self.id)
        lines = [
            meta(self.id, cwd),
            *recording.developer_message("our developer text", NOW),
            *recording.settings_applied(self.id, values, NOW),
            turns[0],
            *recording.turn_context(rich, values, NOW),
            *turns[1:],
            *recording.turn_started(failed, failed, NOW),
            *recording.user_message(failed, [{"type": "text", "text": "fails"}], NOW),
            *recording.turn_failed(failed, failed, NOW, "out of luck", NOW + 10),
            *recording.turn_started(interrupted, interrupted, NOW),
            *recording.user_message(interrupted, [{"type": "text", "text": "stops"}], NOW),
            *recording.turn_interrupted(interrupted, interrupted, NOW, NOW + 20),
        ]
        home.write(self.id, lines, NOW)


@pytest.fixture
def ours(home: CodexHome, tmp_path: Path) -> Ours:
    return Ours(home, tmp_path)


def turns_of(answer: Json) -> list[Json]:
    return answer["thread"]["turns"] if "thread" in answer else answer["data"]


def read(server: Any, thread_id: str) -> list[Json]:
    return turns_of(server.request("thread/read", {"threadId": thread_id, "includeTurns": True}))


def texts(request: list[Json]) -> list[str]:
    """What the model was sent, in short."""
    return [short(item) for item in request]


def short(item: Json) -> str:
    match item:
        case {"type": "message", "content": content}:
            return "".join(part.get("text", part["type"]) for part in content)
        case {"type": "function_call", "name": name}:
            return name
        case _:
            return item["output"]


def messages(turn: Json) -> list[str]:
    return [
        "".join(part.get("text", "") for part in item["content"]) if item["type"] == "userMessage" else item["text"]
        for item in turn["items"]
        if item["type"] in ("userMessage", "agentMessage")
    ]


def about(thread_id: str) -> Callable[[Json], bool]:
    return lambda params: params["threadId"] == thread_id


def test_codex_lists_our_thread_with_its_preview(home: CodexHome, ours: Ours, tmp_path: Path) -> None:
    with home.server() as server:
        (row,) = server.request("thread/list", {"sourceKinds": ["appServer"]})["data"]
    assert (row["id"], row["preview"], row["source"]) == (ours.id, "our question", "appServer")
    assert (row["originator"], row["cwd"], row["historyMode"]) == ("client/1", str(tmp_path), "legacy")
    assert row["createdAt"] == NOW // 1000


def test_codex_reads_our_turns_with_their_ends(home: CodexHome, ours: Ours) -> None:
    with home.server() as server:
        turns = read(server, ours.id)
    assert [(turn["id"], turn["status"]) for turn in turns] == [
        (ours.turns[0], "completed"),
        (ours.turns[1], "failed"),
        (ours.turns[2], "interrupted"),
    ]
    assert (turns[0]["startedAt"], turns[0]["durationMs"]) == (NOW // 1000, 1500)
    assert turns[1]["error"]["message"] == "out of luck"


def test_codex_reads_our_items(home: CodexHome, ours: Ours) -> None:
    with home.server() as server:
        items = read(server, ours.id)[0]["items"]
    assert [item["type"] for item in items] == ["userMessage", "reasoning", "plan", "agentMessage"]
    assert [part["type"] for part in items[0]["content"]] == ["text", "image"]
    assert items[1]["summary"] == ["our thought"]
    assert items[2]["text"] == "# our plan"
    assert items[3]["text"] == "our answer"


def test_codex_takes_over_our_settings_when_it_resumes(home: CodexHome, ours: Ours, tmp_path: Path) -> None:
    with home.server() as server:
        answer = server.request("thread/resume", {"threadId": ours.id})
    assert (answer["approvalPolicy"], answer["reasoningEffort"], answer["cwd"]) == ("on-request", "high", str(tmp_path))
    assert answer["sandbox"] == {"type": "readOnly", "networkAccess": False}


def test_codex_goes_on_with_all_of_our_history_in_the_models_context(home: CodexHome, ours: Ours) -> None:
    with home.server() as server:
        server.request("thread/resume", {"threadId": ours.id})
        server.turn(ours.id, "go on")
        assert messages(read(server, ours.id)[-1]) == ["go on", "ack: go on"]
    sent = texts(home.model.inputs()[-1])
    assert sent == [
        "OUR BASE",
        "our developer text",
        "our questioninput_image",
        "our_tool",
        "our output",
        "<proposed_plan>\n# our plan\n</proposed_plan>",
        "our answer",
        "fails",
        "stops",
        recording.TURN_ABORTED,
        "go on",
    ]


def test_codex_forks_our_thread_up_to_a_turn(home: CodexHome, ours: Ours) -> None:
    with home.server() as server:
        answer = server.request("thread/fork", {"threadId": ours.id, "lastTurnId": ours.turns[0]})
    assert answer["thread"]["forkedFromId"] == ours.id
    assert [messages(turn) for turn in turns_of(answer)] == [["our question", "our answer"]]


def test_codex_sees_the_git_values_that_we_change(home: CodexHome, ours: Ours) -> None:
    git = GitInfo(sha="abc", branch="ours", origin_url="https://example.org/x")
    home.append(ours.id, [recording.git_updated(home.lines(ours.id)[0].payload, git, NOW)])
    with home.server() as server:
        seen = server.request("thread/read", {"threadId": ours.id})["thread"]["gitInfo"]
    assert seen == {"sha": "abc", "branch": "ours", "originUrl": "https://example.org/x"}


def test_codexs_archive_reaches_our_sub_agents(home: CodexHome, tmp_path: Path) -> None:
    root, child, grandchild = (recording.new_id() for _ in range(3))
    home.write(root, [meta(root, tmp_path), *said("t", "root")], NOW)
    for depth, (parent, thread_id) in enumerate([(root, child), (child, grandchild)], 1):
        spawned = {
            "session_id": root,
            "source": recording.spawn_source(parent, depth, f"Nick{depth}"),
            "parent_thread_id": parent,
            "thread_source": "subagent",
            "agent_nickname": f"Nick{depth}",
        }
        home.write(thread_id, [meta(thread_id, tmp_path, **spawned), *said("t", f"level {depth}")], NOW)
    with home.server() as server:
        rows = server.request("thread/list", {"ancestorThreadId": root, "sortDirection": "asc"})["data"]
        seen = {row["id"]: (row["parentThreadId"], row["agentNickname"], row["preview"]) for row in rows}
        assert seen == {child: (root, "Nick1", "level 1"), grandchild: (child, "Nick2", "level 2")}
        server.request("thread/archive", {"threadId": root})
        server.wait_note("thread/archived", about(child))
        archived = [params["threadId"] for _, method, params in server.notes if method == "thread/archived"]
    assert archived == [root, grandchild, child]
    assert len(list((home.path / "archived_sessions").iterdir())) == 3


@pytest.mark.parametrize(("bound", "count"), [("whole", 3), ("last_turn_id", 2), ("before_turn_id", 1)])
def test_codex_goes_on_with_our_legacy_fork_of_its_paginated_thread(
    golden_home: CodexHome, tmp_path: Path, bound: str, count: int
) -> None:
    source_id, fork_id = golden_home.peer.ids["p_three_turns_shell"], recording.new_id()
    source = golden_home.lines(source_id)
    second = [line.payload["turn_id"] for line in source if line.event == "task_started"][1]
    limits = {} if bound == "whole" else {bound: second}
    copy = list(fork_lines(source, source_id, NOW, **limits))
    own = meta(fork_id, tmp_path, forked_from_id=source_id)
    golden_home.write(fork_id, [own, *copy, *recording.settings_applied(fork_id, settings(tmp_path), NOW)], NOW)
    asked = ["golden three: first", "RUN_SHELL echo hi", "golden three: last"][:count]
    with golden_home.server() as server:
        rows = server.request("thread/list", {"sourceKinds": ["appServer"]})["data"]
        assert [(row["id"], row["preview"], row["historyMode"]) for row in rows] == [(fork_id, asked[0], "legacy")]
        assert [messages(turn) for turn in read(server, fork_id)] == [[text, f"ack: {text}"] for text in asked]
        answer = server.request("thread/resume", {"threadId": fork_id})
        assert answer["thread"]["forkedFromId"] == source_id
        server.turn(fork_id, "go on")
    sent = texts(golden_home.model.inputs()[-1])
    expected = [text for ask in asked for text in (ask, f"ack: {ask}")]
    assert [text for text in sent if text in expected] == expected
    assert sent[-1] == "go on"


def test_codex_shows_the_turn_that_our_fork_cut_off_as_interrupted(home: CodexHome, tmp_path: Path) -> None:
    source_id, fork_id, running = (recording.new_id() for _ in range(3))
    source = [meta(source_id, tmp_path), *said("done", "first"), *said(running, "second")[:-1]]
    copy = fork_lines(source, source_id, NOW)
    home.write(fork_id, [meta(fork_id, tmp_path, forked_from_id=source_id), *copy], NOW)
    with home.server() as server:
        turns = read(server, fork_id)
    assert [(turn["id"], turn["status"]) for turn in turns] == [("done", "completed"), (running, "interrupted")]


@pytest.mark.parametrize("databases", ["kept", "deleted"])
@pytest.mark.parametrize("name", ["p_three_turns_shell", "p_interrupted", "p_failed_turn"])
def test_codex_goes_on_after_a_turn_that_we_append_to_its_paginated_thread(
    golden_home: CodexHome, databases: str, name: str
) -> None:
    if databases == "deleted":
        golden_home.drop_databases()
    thread_id, turn_id = golden_home.peer.ids[name], recording.new_id()
    before = golden_home.lines(thread_id)
    theirs = sum(line.event == "task_started" for line in before)
    last = before[-1].ordinal
    assert last is not None
    numbering = Numbering(thread_id, last + 1)
    ours = [made for line in rich_turn(turn_id, thread_id) for made in numbering.number([line], turn_id, NOW)]
    golden_home.append(thread_id, ours)
    with golden_home.server() as server:
        # Codex answers from its projection, which only a resume brings up to date.
        server.request("thread/resume", {"threadId": thread_id})
        turns = read(server, thread_id)
        assert len(turns) == theirs + 1
        assert (turns[-1]["id"], turns[-1]["status"]) == (turn_id, "completed")
        items = turns[-1]["items"]
        kinds = ["userMessage", "reasoning", "dynamicToolCall", "plan", "agentMessage"]
        assert [item["type"] for item in items] == kinds
        assert (items[2]["tool"], items[2]["arguments"], items[2]["status"]) == ("our_tool", {"n": 1}, "completed")
        assert items[2]["contentItems"] == [{"type": "inputText", "text": "our output"}]
        assert turns_of(server.request("thread/turns/list", {"threadId": thread_id}))[0]["id"] == turn_id
        server.turn(thread_id, "go on")
        assert messages(read(server, thread_id)[-1]) == ["go on", "ack: go on"]
    assert texts(golden_home.model.inputs()[-1])[-6:] == [
        "our questioninput_image",
        "our_tool",
        "our output",
        "<proposed_plan>\n# our plan\n</proposed_plan>",
        "our answer",
        "go on",
    ]
    ordinals = [line.ordinal for line in golden_home.lines(thread_id)]
    assert ordinals == list(range(len(ordinals)))
