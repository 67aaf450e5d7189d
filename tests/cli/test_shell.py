"""The commands of the shell, each run as a program that reads them does."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.recorded import Recorded, Said, call, lay_many
from tests.cli.terminal import environment, piped
from tests.cli.users import THREADSTORE
from tests.test_cli import Raw

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Read by all tests of this module, and changed by none."""
    return laid(tmp_path_factory.mktemp("shell") / "home")


def laid(path: Path) -> Recorded:
    home = Recorded(path)
    found = call("grep", {"pattern": "refresh_token"}, "auth/session.py:88")
    failed = call("pytest", {"path": "tests"}, "2 passed\n1 failed: test_two_tabs", success=False)
    home.record(
        Said("Logins fail when two tabs refresh the token. Find the race.", "The refresh takes **no lock**.", found),
        Said("Write a test.", "It fails as it should.", failed),
        name="auth race",
        tags=["bug"],
    )
    for nickname, task in (("Ada", "Write a test that shows the race"), ("Bob", "Review session.py")):
        home.record(Said(task, "Done."), parent=home.threads["auth race"], nickname=nickname)
    home.record(Said("Tidy the docs", "Tidied."), name="docs", cwd="/work/docs")
    home.record(Said("Deploy it", error="the model is overloaded"), cwd="/work/shop/deploy")
    return home


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on stdout."""
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


# ---------------------------------------------------------------------------------------------- list


def test_a_piped_list_has_a_line_with_tabs_for_each_thread_what_was_worked_on_last_first(home: Recorded) -> None:
    done = piped(home.path, "list")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[4:] for row in rows] == [
        ["/work/shop/deploy", "Deploy it"],
        ["/work/docs", "docs"],
        ["/work/shop", "auth race"],
    ]
    assert rows[2][0] == home.threads["auth race"]
    assert rows[2][2:4] == ["2", "completed"]
    assert rows[0][3] == "failed"
    assert "\x1b" not in done.stdout
    assert "2 sub-agents (--source subAgent)" in done.stderr


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        (["--cwd", "/work/shop"], ["Deploy it", "auth race"]),
        (["--cwd", "docs"], ["docs"]),
        (["--named"], ["docs", "auth race"]),
        (["--unnamed"], ["Deploy it"]),
        (["--tag", "bug"], ["auth race"]),
        (["--last-turn", "failed"], ["Deploy it"]),
        (["--containing", "Tidy"], ["docs"]),
        (["--below", "auth race"], ["Review session.py", "Write a test that shows the race"]),
        (["--limit", "1"], ["Deploy it"]),
        (["--reverse", "-n", "1"], ["auth race"]),
        (["--archived"], []),
        (["--until", "2020-01-01"], []),
    ],
)
def test_the_filters_of_list_are_those_of_the_tool(home: Recorded, options: list[str], titles: list[str]) -> None:
    done = piped(home.path, "list", *options)
    assert [line.split("\t")[5] for line in done.stdout.splitlines()] == titles


def test_a_limit_beyond_a_page_of_the_verb_goes_on_through_its_pages(tmp_path: Path) -> None:
    home = Recorded(tmp_path / "home", indexed=False)
    for number in range(103):
        home.record(Said(f"task {number}"))
    answer = told(piped(home.path, "list", "--limit", "102", "--json"))
    assert len({thread["id"] for thread in answer["data"]}) == 102
    assert answer["total"] == 103
    assert told(piped(home.path, "list", "--json", "--cursor", answer["next_cursor"]))["data"][0]["preview"] == "task 0"


def test_json_has_the_shape_of_the_tools_detailed_answer(home: Recorded) -> None:
    answer = told(piped(home.path, "list", "--tag", "bug", "--json"))
    client = Raw("--home", str(home.path))
    tool = client.request(
        "tools/call", {"name": "thread_list", "arguments": {"tags": ["bug"], "response_format": "detailed"}}
    )
    client.end()
    assert answer == tool["structuredContent"]


def test_json_of_an_empty_list_has_its_rows_all_the_same(home: Recorded) -> None:
    assert told(piped(home.path, "list", "--tag", "none", "--json"))["data"] == []


# ---------------------------------------------------------------------------------------------- search, show


def test_search_finds_what_was_said_and_shows_where(home: Recorded) -> None:
    done = piped(home.path, "search", "token", "refresh")
    assert done.stdout.startswith(home.threads["auth race"])
    assert "two tabs" in done.stdout
    answer = told(piped(home.path, "search", "no lock", "--json"))
    assert [row["thread"]["name"] for row in answer["data"]] == ["auth race"]


def test_a_search_without_an_answer_says_what_may_help_and_is_no_failure(home: Recorded) -> None:
    done = piped(home.path, "search", "tokn")
    assert "Nothing found." in done.stdout
    assert "token" in done.stdout


def test_search_in_a_thread_shows_all_its_passages(home: Recorded) -> None:
    answer = told(piped(home.path, "search", "test", "--in", "auth race", "--tools", "--json"))
    (row,) = answer["data"]
    assert len(row["passages"]) >= 2


def test_show_reads_like_a_conversation(home: Recorded) -> None:
    lines = piped(home.path, "show", "auth race").stdout.splitlines()
    assert lines[:2] == ["auth race", "Folder: /work/shop"]
    assert {"Tags: bug", f"Thread: {home.threads['auth race']}", "Turns: 2"} < set(lines)
    said = [line for line in lines if line and not line.startswith("---")]
    assert said[said.index("You") :] == [
        "You",
        "Logins fail when two tabs refresh the token. Find the race.",
        "  · grep pattern=refresh_token",
        "Agent",
        "The refresh takes **no lock**.",
        "You",
        "Write a test.",
        "  ✗ pytest path=tests  → 1 failed: test_two_tabs",
        "Agent",
        "It fails as it should.",
    ]


def test_show_says_how_a_failed_turn_ended(home: Recorded) -> None:
    assert "Failed: the model is overloaded" in piped(home.path, "show", home.threads["Deploy it"]).stdout


def test_show_last_shows_the_last_turns_alone(home: Recorded) -> None:
    done = piped(home.path, "show", "auth race", "--last", "1")
    assert "The last 1 of 2 turns." in done.stdout
    assert "Write a test." in done.stdout
    assert "Find the race" not in done.stdout


def test_show_items_full_has_the_outputs(home: Recorded) -> None:
    assert "auth/session.py:88" not in piped(home.path, "show", "auth race").stdout
    full = piped(home.path, "show", "auth race", "--items", "full").stdout
    assert "auth/session.py:88" in full
    assert "2 passed" in full


def test_show_has_each_message_whole_and_each_turn_of_a_long_thread(tmp_path: Path) -> None:
    home = Recorded(tmp_path / "home", indexed=False)
    calls = [item for number in range(1_100) for item in call("step", {"n": number}, f"output {number}")]
    turns = [Said(f"task {number}", f"answer {number}") for number in range(45)]
    home.record(Said("a " * 5_000 + "end of the long one", "b " * 5_000 + "end too", calls), *turns, name="long")
    shown = piped(home.path, "show", "long").stdout
    assert "end of the long one" in shown
    assert "end too" in shown
    assert shown.count("  · step n=") == 1_100
    assert [f"answer {number}" in shown for number in range(45)] == [True] * 45
    answer = told(piped(home.path, "show", "long", "--json", "--last", "3"))
    assert [turn["items"][0]["content"][0]["text"] for turn in answer["turns"]] == ["task 42", "task 43", "task 44"]


# ---------------------------------------------------------------------------------------------- tree, brief, stats


def test_tree_draws_the_sub_agents(home: Recorded) -> None:
    lines = piped(home.path, "tree", "auth race").stdout.splitlines()
    assert lines[0].startswith("auth race")
    assert [("Ada" in line, "Bob" in line) for line in lines[1:3]] == [(True, False), (False, True)]
    assert lines[2].startswith("└── ")
    answer = told(piped(home.path, "tree", "auth race", "--json"))
    assert [node["depth"] for node in answer["nodes"]] == [0, 1, 1]


def test_brief_hands_a_thread_over(home: Recorded) -> None:
    shown = piped(home.path, "brief", "auth race").stdout
    for part in ("Goal\n  Logins fail", "Failures", "test_two_tabs", "Sub-agents", "Ada"):
        assert part in shown
    assert told(piped(home.path, "brief", "auth race", "--json"))["goal"].startswith("Logins fail")


def test_the_brief_of_a_thread_without_a_name_is_headed_by_its_goal(home: Recorded) -> None:
    assert piped(home.path, "brief", home.threads["Deploy it"]).stdout.startswith("Deploy it\n")


def test_stats_count_by_folder(home: Recorded) -> None:
    rows = [line.split("\t") for line in piped(home.path, "stats", "--by", "cwd").stdout.splitlines()]
    assert ["/work/shop", "3", "4", "0", "0", "0", "0"] in rows
    assert ["/work/shop/deploy", "1", "1", "1", "0", "0", "0"] in rows
    assert told(piped(home.path, "stats", "--json"))["total"]["threads"] == 5


def test_the_first_stats_of_a_home_counts_all_of_its_threads(tmp_path: Path) -> None:
    lay_many(tmp_path / "home", 120)
    done = piped(tmp_path / "home", "stats")
    assert [line.split("\t")[1:3] for line in done.stdout.splitlines()] == [["120", "4920"]]
    assert done.stderr == ""


def test_the_first_list_and_the_first_tree_of_a_home_have_their_turns(tmp_path: Path) -> None:
    lay_many(tmp_path / "listed", 2)
    rows = [line.split("\t")[2:4] for line in piped(tmp_path / "listed", "list").stdout.splitlines()]
    assert rows == [["41", "completed"], ["41", "completed"]]
    lay_many(tmp_path / "drawn", 1)
    assert "41 turns" in piped(tmp_path / "drawn", "tree", "01a00000-0000-7000-8000-000000000000").stdout


def test_what_stats_could_not_count_is_said_on_stderr(tmp_path: Path) -> None:
    lay_many(tmp_path / "home", 60)
    (tmp_path / "home" / "threadstore.sqlite").mkdir()
    done = piped(tmp_path / "home", "stats")
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == ["50"]
    assert "Not counted: 10 threads are not indexed yet; `threadstore reindex` reads them." in done.stderr


# ---------------------------------------------------------------------------------------------- changes


@pytest.fixture
def own(tmp_path: Path) -> Recorded:
    """A home to change."""
    return laid(tmp_path / "home")


def listed(home: Recorded, *options: str) -> list[str]:
    return [line.split("\t")[5] for line in piped(home.path, "list", *options).stdout.splitlines()]


def test_archive_puts_a_tree_away_and_says_the_way_back(own: Recorded) -> None:
    done = piped(own.path, "archive", "auth race", "--yes")
    assert "Archived 3 threads in operation op_" in done.stdout
    assert "auth race" not in listed(own)
    assert listed(own, "--archived") == ["auth race"]
    way_back = done.stdout.partition("To bring them back: threadstore ")[2].split()
    assert "Brought back 3 threads." in piped(own.path, *way_back).stdout
    assert "auth race" in listed(own)


def test_archive_without_a_terminal_to_ask_on_moves_nothing(own: Recorded) -> None:
    done = piped(own.path, "archive", "auth race", code=1)
    assert "Would archive 3 threads:" in done.stdout
    assert "add --yes" in done.stderr
    assert piped(own.path, "archive", "auth race", "--dry-run").stdout == done.stdout
    assert "auth race" in listed(own)


def test_archiving_what_is_archived_already_says_so_and_succeeds(own: Recorded) -> None:
    piped(own.path, "archive", "docs", "--yes")
    thread_id = own.threads["docs"]
    assert piped(own.path, "archive", thread_id).stdout == "1 thread archived already.\n"
    assert told(piped(own.path, "archive", thread_id, "--json"))["already_archived"] == [thread_id]
    assert told(piped(own.path, "archive", "auth race", "--json", "--dry-run"))["dry_run"] is True


def test_json_of_an_archive_that_nobody_agreed_to_is_that_of_its_dry_run(own: Recorded) -> None:
    done = piped(own.path, "archive", "auth race", "--json", code=1)
    assert told(done) == told(piped(own.path, "archive", "auth race", "--json", "--dry-run"))
    assert "add --yes" in done.stderr
    assert "auth race" in listed(own)


def test_unarchive_takes_the_id_of_an_operation_in_place_of_a_thread(own: Recorded) -> None:
    operation = told(piped(own.path, "archive", "auth race", "--yes", "--json"))["operation_id"]
    assert "Brought back 3 threads." in piped(own.path, "unarchive", operation).stdout
    assert "auth race" in listed(own)


def test_an_agent_that_runs_the_command_can_not_archive_what_it_runs_under(own: Recorded) -> None:
    agent = own.threads["Review session.py"]
    done = piped(own.path, "archive", "auth race", "--yes", code=1, CODEX_THREAD_ID=agent)
    assert "may not archive its ancestor" in done.stderr
    assert "auth race" in listed(own)
    piped(own.path, "archive", "docs", "--yes", CODEX_THREAD_ID=agent)


def test_archive_takes_several_threads_and_names_what_it_passed_over(own: Recorded) -> None:
    done = piped(own.path, "archive", "docs", "nobody knows it", "--yes", "--json", code=1)
    assert told(done)["archived"] == [own.threads["docs"]]
    assert "nobody knows it was left" in done.stderr


def test_unarchive_by_thread_brings_its_sub_agents_back(own: Recorded) -> None:
    piped(own.path, "archive", "auth race", "--yes")
    assert "Would bring back 3 threads" in piped(own.path, "unarchive", "auth race", "--dry-run").stdout
    assert told(piped(own.path, "unarchive", "auth race", "--json"))["thread"]["name"] == "auth race"


def test_rename_names_a_thread_and_says_how_to_undo_it(own: Recorded) -> None:
    done = piped(own.path, "rename", "auth race", "the token race")
    assert f"threadstore rename {own.threads['auth race']} 'auth race'" in done.stdout
    assert "the token race" in listed(own)
    assert told(piped(own.path, "rename", "docs", "handbook", "--json"))["thread"]["name"] == "handbook"


def test_a_thread_can_be_told_by_name_id_and_the_beginning_of_its_id(own: Recorded) -> None:
    thread_id = own.threads["docs"]
    shown = {piped(own.path, "show", reference).stdout for reference in ("docs", "DOCS", thread_id, thread_id[:23])}
    assert len(shown) == 1


# ---------------------------------------------------------------------------------------------- beside others


def test_changes_are_seen_by_a_running_server_and_its_changes_here(own: Recorded) -> None:
    client = Raw("--home", str(own.path))
    started = client.call("thread_start", cwd="/work/live", name="live")["thread"]["id"]
    client.call("turn_start", thread_id=started, input="now")
    assert listed(own)[0] == "live"
    piped(own.path, "rename", "docs", "handbook")
    assert [row["name"] for row in client.call("thread_list", search_term="handbook")["data"]] == ["handbook"]
    refused = piped(own.path, "archive", "live", "--yes", code=1)
    assert "already has an active writer" in refused.stderr
    assert "running" in piped(own.path, "show", "live").stdout.lower()
    client.end()


def test_without_an_index_the_files_answer_and_stderr_says_why(own: Recorded) -> None:
    (own.path / "threadstore.sqlite").unlink()
    (own.path / "threadstore.sqlite").mkdir()
    done = piped(own.path, "list")
    assert done.stdout.splitlines()[1].endswith("docs")
    assert "the files answer" in done.stderr


def test_an_unindexed_home_is_indexed_for_the_next_command_and_the_server(tmp_path: Path) -> None:
    home = Recorded(tmp_path / "home", indexed=False)
    home.record(Said("hello"), name="greeting")
    assert piped(home.path, "list").stdout.endswith("greeting\n")
    assert (home.path / "threadstore.sqlite").exists()


# ---------------------------------------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["show", "nobody knows it"], 1, "look it up with `threadstore list`"),
        (["rename", "docs", " "], 2, "name"),
        (["list", "--since", "7x"], 2, "--since '7x'"),
        (["list", "--source", "nothing"], 2, "pass one of cli"),
        (["list", "--limit", "0"], 2, "--limit"),
        (["list", "--cursor", "nothing"], 2, "invalid cursor"),
        (["list", "--no-such-option"], 2, "--no-such-option"),
        (["unarchive"], 2, "--operation"),
        (["unarchive", "--operation", "op_nothing"], 2, "no archive on record"),
        (["unarchive", "docs"], 1, "not archived"),
        (["search", ""], 2, "search"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_a_refusal_is_a_sentence_on_stderr_and_an_exit_code(
    home: Recorded, words: list[str], code: int, sentence: str
) -> None:
    done = piped(home.path, *words, code=code)
    assert done.stdout == ""
    assert sentence in done.stderr
    assert "thread_list" not in done.stderr


@pytest.mark.parametrize("words", [["list"], ["show", "x"], ["rename", "x", "y"]])
def test_a_home_that_is_not_there_is_not_created(tmp_path: Path, words: list[str]) -> None:
    done = piped(tmp_path / "nowhere", *words, code=2)
    assert "there is no such folder" in done.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("words", [["list"], ["search", "x"], ["stats"]])
def test_where_nobody_has_begun_a_home_that_is_said_and_is_no_failure(tmp_path: Path, words: list[str]) -> None:
    done = piped(None, *words, HOME=str(tmp_path))
    assert done.stderr == (
        "No threads yet: there is no ~/.codex, and nothing was recorded in ~/.local/share/threadstore. "
        "An assistant begins the home: see `threadstore install`.\n"
    )
    assert told(piped(None, *words, "--json", HOME=str(tmp_path)))["data"] == []
    assert not list(tmp_path.iterdir())


def test_a_thread_is_not_looked_up_where_nobody_has_begun_a_home(tmp_path: Path) -> None:
    done = piped(None, "show", "x", HOME=str(tmp_path), code=1)
    assert done.stderr.startswith("No threads yet: there is no ~/.codex")
    assert not list(tmp_path.iterdir())


def test_an_empty_list_says_of_which_home(home: Recorded, tmp_path: Path) -> None:
    (tmp_path / ".codex" / "sessions").mkdir(parents=True)
    assert piped(None, "list", HOME=str(tmp_path)).stderr == "No threads in ~/.codex.\n"
    assert piped(home.path, "list", "--tag", "none").stderr.startswith("No such threads in ~/home.\n")


def test_a_reader_that_leaves_ends_a_command_quietly(tmp_path: Path) -> None:
    home = Recorded(tmp_path / "home", indexed=False)
    home.record(Said("x " * 200_000, "y " * 200_000), name="long")
    process = subprocess.Popen(
        [str(THREADSTORE), "show", "long"],
        env=environment(home.path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_the_commands(option: str) -> None:
    shown = piped(None, option).stdout
    for command in ("list", "search", "show", "tree", "brief", "stats", "archive", "unarchive", "rename", "serve"):
        assert f"\n  {command} " in shown
    assert re.search(r"\n  -V, --version +Print the version", shown)
    assert "--since" in piped(None, "list", option).stdout


def test_the_version_has_a_short_option() -> None:
    assert piped(None, "-V").stdout == piped(None, "version").stdout
