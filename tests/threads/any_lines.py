"""Lines of every kind in any order, as hypothesis strategies: what damage and odd programs could leave."""

from __future__ import annotations

from hypothesis import strategies as st
from rollout_lines import (
    aborted,
    agent,
    call,
    completed,
    ended,
    event,
    line,
    output,
    response,
    rolled_back,
    started,
    user,
)

from mcp_server.codex.lines import RolloutLine


def searched(call_id: str) -> RolloutLine:
    return event("web_search_end", call_id=call_id, query="q")


USER_SHELL = "<user_shell_command><command>ls</command></user_shell_command>"


def said(role: str, text: str) -> RolloutLine:
    return response("message", role=role, content=[{"type": "input_text", "text": text}])


_names = st.sampled_from(["a", "b", "item-1", "item-2", "rollout-1", ""])
_texts = st.sampled_from(["", "text", "[", '{"a": 1}'])
_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names | st.sampled_from(["type", "text"]), inner),
    max_leaves=6,
)
_item_types = st.sampled_from(
    [
        "UserMessage",
        "AgentMessage",
        "Plan",
        "Reasoning",
        "CommandExecution",
        "FileChange",
        "McpToolCall",
        "CollabAgentToolCall",
        "WebSearch",
        "ImageView",
        "ExitedReviewMode",
        "Unknown",
        "type",
    ]
)
_items = st.fixed_dictionaries(
    {"type": _item_types, "id": _names},
    optional=dict.fromkeys(("content", "command", "changes", "status", "duration", "started_at_ms", "self"), _junk),
)
_well_formed = st.one_of(
    st.builds(started, _names),
    st.builds(ended, _names),
    st.builds(aborted, _names | st.none()),
    st.builds(user, _texts),
    st.builds(agent, _texts),
    st.builds(rolled_back, st.integers(0, 3)),
    st.builds(call, _names, _texts),
    st.builds(output, _names, _junk),
    st.builds(completed, _names, _items),
    st.builds(searched, _names),
    st.builds(response, st.sampled_from(["web_search_call", "local_shell_call", "tool_search_call"]), call_id=_names),
    st.builds(said, st.sampled_from(["user", "assistant"]), _texts | st.just(USER_SHELL)),
    st.just(event("agent_reasoning", text="r")),
    st.just(line("compacted", message="m")),
)
_event_types = [
    "task_started",
    "task_complete",
    "turn_aborted",
    "user_message",
    "agent_reasoning",
    "item_completed",
    "patch_apply_end",
    "mcp_tool_call_end",
    "exited_review_mode",
    "thread_rolled_back",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "local_shell_call",
    "web_search_call",
    "tool_search_call",
    "tool_search_output",
    "image_generation_call",
    "message",
]
_random = st.builds(
    RolloutLine,
    type=st.sampled_from(["event_msg", "response_item", "session_meta", "nonsense"]),
    payload=st.dictionaries(
        st.sampled_from(["turn_id", "item", "message", "text", "call_id", "output", "error", "id", "role", "content"]),
        _junk,
    ).flatmap(lambda payload: st.sampled_from(_event_types).map(lambda kind: payload | {"type": kind})),
)

ANY_LINES = st.lists(_well_formed | _random, max_size=40)
