"""The commands on a terminal: colours, the pager, questions, progress, and what `threadstore` alone does."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from mcp_server.models.times import now_ms
from tests.cli.recorded import Recorded, Said, call, lay_many
from tests.cli.terminal import Terminal, environment, on_terminal, piped, without_colours
from tests.cli.users import THREADSTORE
from tests.test_cli import HELLO

COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-9]|9[0-7]|38|48)[;m]")
MARKDOWN = (
    "# A title\n\n- **bold** and `code`\n\n```python\nprint('x')\n```\n\n<b>kept</b> [a link](http://example.com/x)"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Read by all tests of this module, and changed by none."""
    home = Recorded(tmp_path_factory.mktemp("terminal") / "home")
    failed = call("pytest", {"path": "tests"}, "1 failed: test_two_tabs", success=False)
    home.record(Said("Show **me**", MARKDOWN, failed), name="marked")
    home.record(*(Said(f"question {number}", f"answer {number}") for number in range(60)), name="long")
    home.record(Said("x"), name="far too long for one line " * 8, cwd="/work/" + "deep/" * 30)
    return home


def test_a_list_fits_the_terminal_and_tells_times_as_people_do(home: Recorded) -> None:
    now = Recorded(home.path.parent / "now")
    now.record(Said("just begun"), at_ms=now_ms() - 3 * 3_600_000)
    lines = without_colours(on_terminal(now.path, "list")).splitlines()
    assert lines[0].split() == ["when", "id", "turns", "thread", "folder"]
    assert lines[1].startswith("3 h ago")
    shown = without_colours(on_terminal(home.path, "list")).splitlines()
    assert max(map(len, shown)) <= 110
    assert len(shown) == 4


def test_the_columns_of_stats_say_what_they_count(home: Recorded) -> None:
    head, *_, sums = without_colours(on_terminal(home.path, "stats")).splitlines()
    assert head.split("  ")[-2:] == ["input tokens", "output tokens"]
    assert sums.split()[:3] == ["total", "3", "62"]


def test_colours_are_for_terminals_that_want_them(home: Recorded) -> None:
    assert COLOUR.search(on_terminal(home.path, "list"))
    assert not COLOUR.search(on_terminal(home.path, "list", NO_COLOR="1"))
    assert "\x1b" not in on_terminal(home.path, "list", TERM="dumb")
    assert "\x1b" not in piped(home.path, "list", FORCE_COLOR="1").stdout


def test_show_renders_markdown_on_a_terminal_and_leaves_it_plain_in_a_pipe(home: Recorded) -> None:
    shown = without_colours(on_terminal(home.path, "show", "marked"))
    assert "A title" in shown
    assert "# A title" not in shown
    assert " • bold and code" in shown
    assert "<b>kept</b>" in shown
    assert "http://example.com/x" in shown
    assert "Show **me**" in shown  # people mean what they type
    assert MARKDOWN in piped(home.path, "show", "marked").stdout


def test_what_does_not_fit_goes_through_the_pager_its_end_first_in_less(home: Recorded) -> None:
    terminal = Terminal(home.path, "show", "long", PAGER="less")
    terminal.wait_for("answer 59")
    assert "answer 2 " not in terminal.shown
    terminal.type("g")
    terminal.wait_for("question 0")
    terminal.type("q")
    terminal.end()


def test_what_fits_goes_straight_to_the_terminal(home: Recorded) -> None:
    assert "A title" in Terminal(home.path, "show", "marked", PAGER="false").end()


def test_another_pager_is_taken_with_its_options(home: Recorded, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\necho "pager $1"\ntail -n 1\n', encoding="utf-8")
    pager.chmod(0o755)
    shown = Terminal(home.path, "show", "long", PAGER=f"{pager} --quick").end()
    assert "pager --quick" in shown
    assert "answer 59" in shown


def test_a_pager_that_can_not_be_found_or_leaves_at_once_is_no_failure(home: Recorded) -> None:
    assert "answer 0 " in Terminal(home.path, "show", "long", PAGER="no-such-pager").end()
    Terminal(home.path, "show", "long", PAGER="true").end()


def test_a_pipe_has_no_pager(home: Recorded) -> None:
    assert "answer 0" in piped(home.path, "show", "long", PAGER="false").stdout


# ---------------------------------------------------------------------------------------------- questions


@pytest.mark.parametrize(("answer", "code", "said"), [("y", 0, "Archived 1 thread"), ("n", 1, "Nothing was moved.")])
def test_archive_asks_on_a_terminal(tmp_path: Path, answer: str, code: int, said: str) -> None:
    home = Recorded(tmp_path / "home")
    home.record(Said("hello"), name="greeting")
    terminal = Terminal(home.path, "archive", "greeting")
    terminal.wait_for("Archive 1 thread? [y/N] ")
    terminal.type(f"{answer}\n")
    assert said in terminal.end(code)


def test_ctrl_c_ends_a_command_with_130_and_nothing_done(tmp_path: Path) -> None:
    home = Recorded(tmp_path / "home")
    home.record(Said("hello"), name="greeting")
    terminal = Terminal(home.path, "archive", "greeting")
    terminal.wait_for("[y/N] ")
    terminal.type("\x03")
    terminal.end(130)
    assert "greeting" in piped(home.path, "list").stdout


# ---------------------------------------------------------------------------------------------- progress


def test_indexing_a_home_shows_a_bar_on_the_terminal_once_it_takes_a_second(tmp_path: Path) -> None:
    many = tmp_path / "home"
    lay_many(many, 3_000)
    shown = on_terminal(many, "list", "--limit", "1")
    assert "reading threads" in shown
    assert re.search(r"\d+/3000", shown)
    assert "reading threads" not in on_terminal(many, "list", "--limit", "1")


def test_a_program_that_reads_stderr_gets_no_bar(tmp_path: Path) -> None:
    lay_many(tmp_path / "home", 3_000)
    assert "reading" not in piped(tmp_path / "home", "list").stderr


# ---------------------------------------------------------------------------------------------- alone


def test_alone_on_a_terminal_it_says_what_it_is_and_how_to_install_it(tmp_path: Path) -> None:
    shown = on_terminal(tmp_path / "home")
    assert "threads (sessions, conversations) of your agents" in shown
    assert "threadstore install" in shown
    assert "threadstore browse" in shown
    assert not (tmp_path / "home").exists()


def test_alone_with_a_pipe_it_serves(tmp_path: Path) -> None:
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO})
    done = subprocess.run(
        [str(THREADSTORE)],
        env=environment(tmp_path / "home"),
        input=message + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "threadstore"
