"""The demo command, run as a user runs it."""

import subprocess
import sys
from pathlib import Path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_server", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_plays_every_step_and_ends_well() -> None:
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in ("└─ Bob (worker)", "archived: 4", "unarchived: 4", "may not archive its ancestor", "thread/closed"):
        assert shown in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert "every answer as it should be" in last
    assert not Path(last.rpartition("Home: ")[2]).exists()


def test_it_fails_when_a_step_does_not_hold(tmp_path: Path) -> None:
    """A home that holds threads already is not the empty one that the demo tells of."""
    home = tmp_path / "home"
    assert run("--home", str(home)).returncode == 0
    again = run("--home", str(home))
    assert again.returncode == 1
    assert "The demo failed" in again.stdout
