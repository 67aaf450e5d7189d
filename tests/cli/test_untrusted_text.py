"""Stored text never commands the terminal that shows it."""

from __future__ import annotations

import json
import re
import unicodedata
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.style import Style
from rich.text import Text

from mcp_server.cli.shell.markdown import markdown_of
from mcp_server.cli.shell.safe_text import safe_line, safe_lines
from mcp_server.cli.shell.screen import Safe
from tests.cli.recorded import Recorded, Said, call
from tests.cli.terminal import on_terminal, piped, without_colours

ATTACKS = [
    "\x1b[5;38;5;199mblinks",
    "\x1b[2J\x1b[1;1Hclears",
    "\x1b]0;a title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://evil.example\x1b\\a link\x1b]8;;\x1b\\",
    "\x1bP+q544e\x1b\\",
    "\x1b_Gf=100;AAAA\x1b\\",
    "\x1bc",
    "\x9b5mwith C1",
    "\x9d52;c;ZXZpbA==\x9c",
    "rings\x07",
    "hidden\rshown",
    "abc\b\b\bxyz",
    "\x7f\x0e\x0f\x0b\x0c\x00",
    "\u202egnp.exe",
    "\u2066isolate\u2069 \u200emark",
    "zero\u200bwidth \ufeffmark \U000e0041tag",
    "line\u2028separator\x85next",
    "&#27;[5mentity &#x202e;evil &#x9b;5m &rlm;",
    "<http://x.example/%E2%80%AE%1B%5B5m%C2%9B>",
    "[text\u202e](http://x.example/%1b]52;c;ZXZpbA==%07 '\x1b[5m')",
    "![image\x1b[5m](http://x.example/\x1b[5m)",
    "```\x1b[5m\n\x1b[5mcode\n```",
    "| \x1b[5ma | b |\n|---|---|\n| \x9b5m | \u202e |",
    "[bold red on blue]markup[/] :boom:",
]


def assert_harmless(shown: str) -> None:
    """Whatever is left beside the program's own colours is text."""
    assert "\x1b[5m" not in shown
    assert "\x1b[5;" not in shown
    for char in without_colours(shown):
        harmless = char.isprintable() or char in "\n\t\u200c\u200d" or unicodedata.category(char) == "Zs"
        assert harmless, f"{char!r} in {shown!r}"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A thread for each attack, in all that a thread is made of."""
    home = Recorded(tmp_path_factory.mktemp("untrusted") / "home")
    for attack in ATTACKS:
        items = [
            {"type": "reasoning", "text": attack},
            {"type": "plan", "text": f"- [ ] {attack}"},
            *call(f"tool{attack}", {attack: attack}, attack, success=False),
        ]
        said = Said(f"needle {attack}", f"I decided to use {attack}.\n\n{attack}", items)
        parent = home.record(said, Said("more", error=attack), name=f"n{attack}", cwd=f"/w/{attack}".replace("\0", ""))
        home.record(Said(attack, attack), parent=parent, nickname=f"k{attack}")
    # Names that no verb would set.
    first = next(iter(home.threads.values()))
    line = json.dumps({"id": first, "thread_name": "\x1b]0;owned\x07\u202e", "updated_at": "2026-01-01T00:00:00Z"})
    with (home.path / "session_index.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return home


EVERYWHERE = [
    ["list", "-n", "100"],
    ["list", "-n", "100", "--json"],
    ["search", "needle", "-n", "100"],
    ["stats", "--by", "cwd"],
    ["stats", "--by", "agent", "--json"],
]


@pytest.mark.parametrize("words", EVERYWHERE, ids=" ".join)
def test_answers_over_all_threads_are_harmless_on_a_terminal_and_in_a_pipe(
    attacked: Recorded, words: list[str]
) -> None:
    assert_harmless(on_terminal(attacked.path, *words))
    done = piped(attacked.path, *words)
    assert_harmless(done.stdout)
    assert_harmless(done.stderr)


@pytest.mark.parametrize("words", [["show", "--items", "full"], ["tree"], ["brief"], ["show", "--json"]], ids=" ".join)
def test_answers_on_a_thread_are_harmless_whatever_it_holds(attacked: Recorded, words: list[str]) -> None:
    """In one process each, since starting one takes most of the time."""
    from typer.testing import CliRunner

    from mcp_server.cli import app

    for thread_id in attacked.threads.values():
        done = CliRunner().invoke(app, [words[0], thread_id, *words[1:]], env={"THREADSTORE_HOME": str(attacked.path)})
        assert done.exit_code == 0
        assert_harmless(done.output)


@pytest.mark.parametrize("attack", ATTACKS[::4], ids=repr)
def test_a_conversation_on_a_terminal_is_harmless(attacked: Recorded, attack: str) -> None:
    thread_id = attacked.threads[f"n{attack}"]
    assert_harmless(on_terminal(attacked.path, "show", thread_id, "--items", "full"))
    assert_harmless(on_terminal(attacked.path, "tree", thread_id))
    assert_harmless(on_terminal(attacked.path, "brief", thread_id))


def test_refusals_that_repeat_what_was_typed_are_harmless(attacked: Recorded) -> None:
    for attack in ("\x1b]0;a title\x07", "\x9b5m", "\u202e"):
        assert_harmless(piped(attacked.path, "show", attack, code=1).stderr)
        assert_harmless(piped(attacked.path, "list", "--since", attack, code=2).stderr)


def test_questions_and_receipts_are_harmless(tmp_path: Path) -> None:
    home = Recorded(tmp_path / "home")
    thread_id = home.record(Said("\x1b[5mhello"), name="\x1b]0;owned\x07\x1b[5m")
    for words in (["rename", thread_id, "\x1b[5mnew"], ["rename", thread_id, "plain"], ["archive", thread_id, "-y"]):
        assert_harmless(on_terminal(home.path, *words))


# ---------------------------------------------------------------------------------------------- any text

UNICODE = st.text(st.characters(exclude_categories=()))
NASTY = st.lists(st.sampled_from([*ATTACKS, "\n", "\r\n", "  ", "# ", "> ", "- ", "`", "**", "|", "word"])).map("".join)


@given(UNICODE | NASTY)
def test_safe_lines_are_harmless_and_clean_text_stays_as_it_is(text: str) -> None:
    shown = safe_lines(text)
    assert_harmless(shown)
    assert safe_lines(shown) == shown
    assert shown.count("\n") == text.count("\n")
    if re.fullmatch(r"[\w .,;:!?()'\n\u3000\u00a0-]*", text):
        assert shown == text


@given(UNICODE | NASTY)
def test_a_safe_line_is_one_line(text: str) -> None:
    assert "\n" not in safe_line(text)
    assert_harmless(safe_line(text))


@given(UNICODE | NASTY)
def test_rendered_markdown_is_harmless(text: str) -> None:
    assert_harmless(rendered(markdown_of(text)))


@given(UNICODE | NASTY)
def test_what_is_printed_is_harmless_even_if_nobody_cleaned_it(text: str) -> None:
    assert_harmless(rendered(Text(text, Style(link="http://evil.example"))))


def rendered(part: object) -> str:
    stream = StringIO()
    console = Console(file=stream, force_terminal=True, width=60, color_system="truecolor")
    console.print(Safe(part))  # pyright: ignore[reportArgumentType]
    return stream.getvalue()
