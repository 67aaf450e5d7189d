"""Completion in the real shells: commands, options and threads, and no name that a shell would run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.recorded import Recorded, Said
from tests.cli.terminal import Terminal, environment, piped

SHELLS = ("bash", "zsh", "fish")
DANGEROUS = ["$(touch pwned)", "`touch pwned`", "';touch pwned;'", '";touch pwned;"', "\\$(touch pwned)", "*", "~root"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    home = Recorded(tmp_path_factory.mktemp("completion") / "home")
    for name in ("auth race", "auth-tokens", "docs", "Orchard plan", "--help", *(f"x{danger}" for danger in DANGEROUS)):
        home.record(Said("hello"), name=name)
    return home


def script_of(shell: str, folder: Path) -> Path:
    script = folder / f"completion.{shell}"
    script.write_text(piped(None, "completion", shell).stdout, encoding="utf-8")
    return script


def completed(shell: str, home: Recorded, folder: Path, *words: str) -> list[str]:
    """What the shell offers for the last of the words."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = script_of(shell, folder)
    if shell == "fish":
        line = " ".join(["threadstore", *words])
        asked = f"source {script}; complete --do-complete '{line}'"
        done = run([program, "--no-config", "-c", asked], home, folder)
        return [row.split("\t")[0] for row in done.splitlines()]
    assert shell == "bash"
    array = " ".join(f"'{word}'" for word in ("threadstore", *words))
    asked = f"""
        source {script}
        COMP_WORDS=({array}); COMP_CWORD={len(words)}
        _threadstore_completion threadstore '{words[-1]}' ''
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return [row for row in run([program, "--norc", "-c", asked], home, folder).splitlines() if row]


def run(words: list[str], home: Recorded, folder: Path) -> str:
    done = subprocess.run(
        words, env=environment(home.path), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_commands_and_options_complete(shell: str, home: Recorded, tmp_path: Path) -> None:
    assert "list" in completed(shell, home, tmp_path, "l")
    assert "--since" in completed(shell, home, tmp_path, "list", "--si")
    assert completed(shell, home, tmp_path, "list", "--last-turn", "cr") == ["crashed"]
    assert completed(shell, home, tmp_path, "completion", "zs") == ["zsh"]


def test_threads_complete_by_name_in_bash_as_one_word(home: Recorded, tmp_path: Path) -> None:
    assert sorted(completed("bash", home, tmp_path, "show", "au")) == ["auth-tokens", "auth\\ race"]
    assert completed("bash", home, tmp_path, "tree", "doc") == ["docs"]


def test_threads_complete_by_name_in_fish(home: Recorded, tmp_path: Path) -> None:
    assert sorted(completed("fish", home, tmp_path, "show", "au")) == ["auth race", "auth-tokens"]


@pytest.mark.parametrize(("shell", "offered"), [("bash", "Orchard\\ plan"), ("fish", "Orchard plan")])
def test_a_name_completes_whatever_the_case_of_what_was_typed(
    shell: str, offered: str, home: Recorded, tmp_path: Path
) -> None:
    assert completed(shell, home, tmp_path, "show", "or") == [offered]
    assert completed(shell, home, tmp_path, "show", "Or") == [offered]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_threads_complete_by_the_beginning_of_an_id(shell: str, home: Recorded, tmp_path: Path) -> None:
    thread_id = home.threads["docs"]
    assert thread_id in completed(shell, home, tmp_path, "show", thread_id[:20])


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_names_that_a_shell_would_run_are_only_text(shell: str, home: Recorded, tmp_path: Path) -> None:
    found = completed(shell, home, tmp_path, "show", "x")
    assert len(found) == len(DANGEROUS)
    assert not list(tmp_path.rglob("pwned"))
    if shell == "bash":
        echoed = run(["/bin/bash", "--norc", "-c", f"printf '%s\\n' {' '.join(found)}"], home, tmp_path)
        assert sorted(echoed.splitlines()) == sorted(f"x{danger}" for danger in DANGEROUS)
        assert not list(tmp_path.rglob("pwned"))


def test_a_name_that_looks_like_an_option_is_not_offered(home: Recorded, tmp_path: Path) -> None:
    assert home.threads["--help"] in completed("bash", home, tmp_path, "show", "01")
    assert "--help" not in completed("bash", home, tmp_path, "show", "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_names_and_runs_none(home: Recorded, tmp_path: Path) -> None:
    zsh = Terminal(home.path, "-f", program=str(shutil.which("zsh")), PS1="ready> ", PROMPT_EOL_MARK="")
    zsh.wait_for("ready> ")
    zsh.type(
        f"cd {tmp_path}; autoload -Uz compinit; compinit -u -D; source {script_of('zsh', tmp_path)}; echo set up\n"
    )
    zsh.wait_for("\nset up")
    zsh.type("threadstore tree auth\\ r\t")
    zsh.wait_for("threadstore tree auth\\ race")
    zsh.type("\x15threadstore tree orch\t")
    zsh.wait_for("ard\\ plan")  # zsh draws anew only what changed
    zsh.type("\x15threadstore show x\t\t")
    zsh.wait_for("~root")
    zsh.type("\x03\x15echo over\n")
    zsh.wait_for("\nover")
    zsh.type("exit\n")
    zsh.end()
    assert not list(tmp_path.rglob("pwned"))


def test_a_home_without_an_index_is_not_indexed_for_a_completion(tmp_path: Path) -> None:
    home = Recorded(tmp_path / "home", indexed=False)
    home.record(Said("hello"), name="greeting")
    assert completed("bash", home, tmp_path, "show", "gr") == []
    assert not (home.path / "threadstore.sqlite").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_never_complains(shell: str, tmp_path: Path) -> None:
    """Where there is no home, and before anything else works."""
    piped(None, "completion", shell)
    done = piped(
        tmp_path / "nowhere",
        _THREADSTORE_COMPLETE="complete_bash",
        COMP_WORDS="threadstore show x",
        COMP_CWORD="2",
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
