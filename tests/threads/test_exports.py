"""Exports for people and for other programs. Stored text was written by others: in none of them it becomes markup."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from atif import Trajectory
from markdown_it import MarkdownIt

from mcp_server.codex.files import RolloutRef
from mcp_server.models.params import ExportFormat, ExportParams
from mcp_server.sync.reconciler import sync
from mcp_server.threads.service import ThreadService
from tests.stores.rollout_text import event, line, meta, text_of, user
from tests.threads.conftest import Home, spawned_by

ROOT = "01a20581-0000-7000-8000-00000000aaaa"
KID = "01a20581-0000-7000-8000-00000000bbbb"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def exported(service: ThreadService, form: ExportFormat, thread: str = ROOT) -> str:
    out = io.BytesIO()
    service.exporter.run(ExportParams(thread, form), out.write)
    return out.getvalue().decode()


def item(payload: dict[str, Any]) -> dict[str, Any]:
    return line("response_item", payload)


def said(text: str) -> dict[str, Any]:
    return event("agent_message", message=text)


def plant(home: Home, thread_id: str, *lines: dict[str, Any], **fields: Any) -> None:
    path = home.rollouts.new(thread_id, 1_795_388_688_000).path
    home.rollouts.create(RolloutRef(path), text_of(meta(thread_id, **fields), *lines))
    sync(home.rollouts, home.state, quiet=True)


def talk(home: Home, asked: str, answered: str, output: str = "", **fields: Any) -> None:
    """A thread with one turn: a question, a tool call with its output, an answer."""
    call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": "it"}'}
    plant(
        home,
        ROOT,
        event("task_started", turn_id="t1"),
        user(asked, images=[PIXEL, "https://evil.example/pixel.png"]),
        event("agent_reasoning", text="let me think"),
        item(call),
        item({"type": "function_call_output", "call_id": "c1", "output": output or "seen"}),
        said(answered),
        event("task_complete", turn_id="t1"),
        **fields,
    )


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</pre></details></article><script>alert(1)</script>",
    "<style>*{display:none}</style>",
    "<!-- <b>",
    "[click](javascript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[a](vbscript:x) <javascript:alert(1)>",
    "![pixel](https://evil.example/pixel.png)",
    "[x]: javascript:alert(1)\n\n[x]",
    '[q](https://example.org "\\" onmouseover=alert(1)")',
    "`</code><script>alert(1)</script>`",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    '" onload="alert(1)',
    "&lt;script&gt;",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example>",
    "\u202eevil\u202c \x1b[2J",
]


@pytest.mark.parametrize("attack", [*ATTACKS, "# A heading", "---", "a\r# b", "````\n# out", "1. x\n\n# y"])
def test_markdown_has_no_heading_but_ours_and_no_html_beside_quotes(home: Home, attack: str) -> None:
    talk(home, f"x\n{attack}", f"x\n{attack}", f"x\n{attack}", originator=f"o {attack}")
    text = exported(home.service(), "markdown")
    tokens = MarkdownIt("commonmark").parse(text)
    depth, headings = 0, 0
    for token in tokens:
        depth += token.nesting if token.type.startswith("blockquote") else 0
        if not depth:
            headings += token.type == "heading_open"
            assert token.type != "html_block"
            assert "html_inline" not in [child.type for child in token.children or ()]
    assert headings == 2


def test_markdown_reads_like_a_conversation(home: Home) -> None:
    talk(home, "Why does it fail?", "It is the lock.", "a\n```\nb")
    text = exported(home.service(), "markdown")
    assert text.startswith("# Why does it fail?\n\n- Folder: /w\n")
    assert "**User**\n\n> Why does it fail?\n" in text
    assert "**Agent, thinking**\n\n> let me think\n" in text
    assert '**Tool** look\n\n```text\n{\n "at": "it"\n}\n```\n\n````text\na\n```\nb\n````\n' in text
    assert "**Agent**\n\n> It is the lock.\n" in text


def test_the_task_that_heads_a_sub_agent_is_masked(home: Home) -> None:
    spawn = {"parent_thread_id": ROOT, "depth": 1, "agent_path": f"/root/ghp_{'a1B2' * 9}"}
    plant(home, KID, said("done"), source={"subagent": {"thread_spawn": spawn}})
    out = io.BytesIO()
    home.service().exporter.run(ExportParams(KID, "markdown", redact=True), out.write)
    assert out.getvalue().decode().startswith("# \\[redacted:github-token\\]\n")


def test_atif_is_valid_and_tells_what_was_said_and_done(home: Home) -> None:
    talk(home, "Why?", "So.", "the output")
    plant(home, KID, user("below"), said("done"), **spawned_by(ROOT))
    text = exported(home.service(), "atif")
    whole = Trajectory.model_validate_json(text)
    assert (whole.schema_version, whole.trajectory_id) == ("ATIF-v1.8", ROOT)
    asked, called, answered = whole.steps
    assert [step.source for step in whole.steps] == ["user", "agent", "agent"]
    assert "Why?" in json.dumps([part.model_dump() for part in asked.message if not isinstance(part, str)])
    assert called.reasoning_content == "let me think"
    assert called.tool_calls is not None
    assert (called.tool_calls[0].function_name, called.tool_calls[0].arguments) == ("look", {"at": "it"})
    assert called.observation is not None
    assert called.observation.results[0].content == "the output"
    assert answered.message == "So."
    assert whole.subagent_trajectories is not None
    (below,) = whole.subagent_trajectories
    assert (below.trajectory_id, below.steps[0].message) == (KID, "below")
