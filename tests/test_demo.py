"""The demo command, run as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server import demo


def run(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_server", "demo", *arguments]
    env = {"PYTHONIOENCODING": encoding}
    return subprocess.run(command, capture_output=True, encoding=encoding, timeout=60, env=env)


def test_the_demo_passes_every_step() -> None:
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    first = lines.index("  nodes:") + 1
    nodes = [line.split(", role:")[0].split(", title:")[0] for line in lines[first : first + 4]]
    assert [(node.split("depth: ")[1], node.index("thread_id")) for node in nodes] == [
        ("0", 4),
        ("1, nickname: Ada", 6),
        ("2, nickname: Cleo", 8),
        ("1, nickname: Bob", 6),
    ]
    receipt = next(line for line in lines if line.startswith("  archived: "))
    assert len(set(receipt.removeprefix("  archived: ").split(", "))) == 4
    assert lines[lines.index(receipt) - 1].startswith("  operation_id: op_")
    for shown in ("thread/unarchived", "may not archive its ancestor", "thread/closed"):
        assert shown in done.stdout
    assert "every answer as it should be" in lines[-1]
    assert not Path(lines[-1].rpartition(": ")[2]).parent.exists()


def test_the_demo_without_a_terminal_is_short_and_plain_and_runs_once_in_a_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = run("--home", str(home), encoding="ascii")
    assert first.returncode == 0
    assert first.stderr == ""
    assert len(first.stdout.splitlines()) <= 100
    assert not [char for char in first.stdout if not char.isprintable() and char != "\n"]
    assert f"Home, kept: {home}" in first.stdout
    again = run("--home", str(home))
    assert again.returncode == 2
    assert "it holds threads" in again.stderr


def test_a_failed_step_ends_the_demo_with_the_servers_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A home that holds threads already is not the empty one that the demo tells of."""
    assert demo.run_demo(tmp_path / "home") == 0
    assert demo.run_demo(tmp_path / "home") == 1
    told = capsys.readouterr().out
    assert "The demo failed: it does not hold that" in told
    assert f"The server said:\nhome {tmp_path / 'home'} holds" in told


def test_a_server_that_does_not_start_ends_the_demo_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.sys, "executable", str(tmp_path / "no-python"))
    assert demo.run_demo(tmp_path / "home") == 1
    assert "The demo failed:" in capsys.readouterr().out
