"""Which home is served: a mistake is refused or said, and never served as an empty home."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import Raw, run

THREAD = "01a00000-0000-7000-8000-000000000001"


def lay_thread(home: Path, year: str = "2026") -> None:
    """The smallest rollout that is listed."""
    path = home / "sessions" / year / "01" / "02" / f"rollout-{year}-01-02T03-04-05-{THREAD}.jsonl"
    path.parent.mkdir(parents=True)
    at = f'"timestamp":"{year}-01-02T03:04:05.000Z"'
    meta = f'{{{at},"type":"session_meta","payload":{{"id":"{THREAD}",{at},"cwd":"/w","originator":"x"}}}}'
    said = f'{{{at},"type":"event_msg","payload":{{"type":"user_message","message":"hello"}}}}'
    path.write_text(f"{meta}\n{said}\n", encoding="utf-8")


def served(*arguments: str, **env: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """What a list and the status say, and stderr."""
    client = Raw(*arguments, **env)
    answers = client.call("thread_list"), client.call("store_status")
    _, _, err = client.end()
    return *answers, err


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def flat(text: str) -> str:
    """A message without the frame and the line breaks that a terminal gets."""
    return "".join(text.split()).replace("│", "")


def _file(home: Path) -> None:
    home.write_text("kept", encoding="utf-8")


def _link_to_nothing(home: Path) -> None:
    home.symlink_to(home.parent / "gone")


def _sessions_on_a_disk_that_is_away(home: Path) -> None:
    home.mkdir()
    (home / "sessions").symlink_to(home.parent / "disk" / "sessions")


MISTAKES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a file": (_file, "it is not a folder"),
    "a link to nothing": (_link_to_nothing, "it is a link that leads to"),
    "a home whose disk is away": (_sessions_on_a_disk_that_is_away, "its sessions is a link that leads to"),
}


@pytest.mark.parametrize("command", [["serve"], ["serve", "--read-only"], ["doctor"], ["reindex"]], ids=" ".join)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_command_refuses_a_path_that_can_not_be_a_home(tmp_path: Path, command: list[str], mistake: str) -> None:
    make, sentence = MISTAKES[mistake]
    make(tmp_path / "home")
    before = everything(tmp_path)
    done = run(*command, "--home", str(tmp_path / "home"))
    assert (done.returncode, done.stdout) == (2, "")
    assert flat(sentence) in flat(done.stderr)
    assert "Traceback" not in done.stderr
    assert everything(tmp_path) == before


@pytest.mark.parametrize("command", [["serve"], ["doctor"], ["reindex"], ["demo"]], ids=" ".join)
def test_an_empty_home_option_is_refused(command: list[str]) -> None:
    done = run(*command, "--home", "")
    assert done.returncode == 2
    assert flat("it is empty; pass a folder") in flat(done.stderr)


@pytest.mark.parametrize("by", ["--home", "THREADSTORE_HOME", "CODEX_HOME"])
def test_a_home_whose_parent_is_missing_is_refused(tmp_path: Path, by: str) -> None:
    home = tmp_path / "hoem" / "me"
    done = run("serve", "--home", str(home)) if by == "--home" else run("serve", **{by: str(home)})
    assert done.returncode == 2
    assert flat(f"neither it nor {tmp_path / 'hoem'} exists") in flat(done.stderr)
    assert by in done.stderr
    assert everything(tmp_path) == []


def test_a_new_home_is_made_and_said_to_be_new_until_it_holds_a_thread(tmp_path: Path) -> None:
    home = tmp_path / "new"
    client = Raw("--home", str(home))
    note = client.call("thread_list")["note"]
    assert note == f"home {home}, named by --home, holds no threads; if you expected some, check the path."
    assert client.call("store_status")["notes"] == [note.removesuffix(".")]
    thread_id = client.call("thread_start")["thread"]["id"]
    client.call("turn_start", thread_id=thread_id, input="hello")
    assert client.call("thread_list", search_term="what nobody said")["note"] is None
    assert client.call("store_status")["notes"] == []
    _, _, err = client.end()
    assert f"home {home}, named by --home, is new and holds no threads; if you expected some, check the path" in err


@pytest.mark.parametrize("command", [["doctor"], ["doctor", "--repair", "--yes"], ["reindex"]], ids=" ".join)
@pytest.mark.parametrize("there", [None, "an empty folder", "a folder with other things"])
def test_doctor_and_reindex_create_nothing_where_there_is_no_home(
    tmp_path: Path, command: list[str], there: str | None
) -> None:
    home = tmp_path / "home"
    if there:
        home.mkdir()
    if there == "a folder with other things":
        (home / "letters").mkdir()
    before = everything(tmp_path)
    done = run(*command, "--home", str(home))
    assert done.returncode == 2
    assert flat("it holds no threads" if there else "there is no such folder") in flat(done.stderr)
    assert everything(tmp_path) == before


def test_doctor_creates_nothing_in_a_home_without_an_index_either(tmp_path: Path) -> None:
    lay_thread(tmp_path / "home")
    before = everything(tmp_path)
    assert run("doctor", "--home", str(tmp_path / "home")).returncode == 1
    assert everything(tmp_path) == before


class TestWithoutANamedHome:
    @pytest.fixture
    def user(self, tmp_path: Path) -> dict[str, str]:
        return {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}

    def test_threads_that_a_later_codex_home_hides_are_reported(self, tmp_path: Path, user: dict[str, str]) -> None:
        ours, codex = tmp_path / "data" / "threadstore", tmp_path / ".codex"
        lay_thread(ours)
        answer, status, err = served(**user)
        assert (answer["total"], answer["note"], status["notes"]) == (1, None, [])
        assert "holds threads too" not in err
        codex.mkdir()
        sentence = (
            f"{ours} holds threads too, and they are not shown: home {codex} is served. To choose the other, pass "
            f"--home {ours} or set THREADSTORE_HOME"
        )
        for _ in range(2):  # at every start
            answer, status, err = served(**user)
            assert sentence in err
            assert (answer["total"], status["home"]) == (0, str(codex))
            assert sentence in answer["note"]
            assert sentence in status["notes"]
        lay_thread(codex, "2025")
        answer, status, err = served(**user)
        assert sentence in err
        assert (answer["total"], answer["note"], status["notes"]) == (1, None, [sentence])
        assert sentence in run("doctor", **user).stdout
        for chosen in (ours, codex):
            answer, status, err = served("--home", str(chosen), **user)
            assert (answer["total"], status["notes"]) == (1, [])
            assert "holds threads too" not in err

    def test_a_broken_link_in_the_place_of_codexs_home_is_refused(self, tmp_path: Path, user: dict[str, str]) -> None:
        lay_thread(tmp_path / "data" / "threadstore")
        (tmp_path / ".codex").symlink_to(tmp_path / "dotfiles" / "codex")
        done = run("serve", **user)
        assert done.returncode == 2
        assert flat(f"it is a link that leads to {tmp_path / 'dotfiles' / 'codex'}") in flat(done.stderr)

    def test_a_variable_that_is_empty_or_that_a_host_left_unfilled_counts_as_unset(
        self, tmp_path: Path, user: dict[str, str]
    ) -> None:
        lay_thread(tmp_path / ".codex")
        answer, status, _ = served(**user, THREADSTORE_HOME="${user_config.home}", CODEX_HOME="")
        assert (answer["total"], status["home"]) == (1, str(tmp_path / ".codex"))

    def test_doctor_says_that_there_is_no_home(self, tmp_path: Path, user: dict[str, str]) -> None:
        done = run("doctor", **user)
        assert done.returncode == 2
        assert flat("there is no such folder") in flat(done.stderr)
        assert everything(tmp_path) == []


@pytest.mark.parametrize("linked", ["sessions/2025", "sessions/2025/01/02"])
@pytest.mark.parametrize("there", [True, False])
def test_a_linked_date_folder_is_said_to_be_left_out(tmp_path: Path, linked: str, there: bool) -> None:
    home, disk = tmp_path / "home", tmp_path / "disk"
    lay_thread(home, "2025")
    (home / linked).rename(disk) if there else None
    if not there:
        disk = tmp_path / "gone"
        (home / linked).rename(tmp_path / "moved")
    (home / linked).symlink_to(disk)
    answer, status, err = served("--home", str(home))
    why = "links to folders are not followed; put the folder itself there" if there else "it leads to nothing"
    assert f'"{linked}" in the home is left out: it is a link, and {why}' in err
    assert answer["total"] == 0
    assert f'"{linked}" in the home is left out: it is a link' in answer["note"]
    assert [bad["path"] for bad in status["malformed"]] == [linked]
    told = run("doctor", "--home", str(home)).stdout
    assert f"{linked} at byte 0: is left out: it is a link, and {why}" in told
