"""Whose turn it is to watch: one at a time, and neither a death nor a silence leaves a home unwatched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.sync.watcher import SILENT_SECONDS, WatchTurn

HOLDER = """
import sys
from pathlib import Path
from mcp_server.sync.watcher import WatchTurn
turn = WatchTurn(Path(sys.argv[1]))
print(turn.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    return tmp_path / "watch"


def fall_silent(sign: Path) -> None:
    long_ago = sign.stat().st_mtime - SILENT_SECONDS - 1
    os.utime(sign, (long_ago, long_ago))


def test_one_at_a_time_has_the_turn_until_it_gives_it_back(sign: Path) -> None:
    one, other = WatchTurn(sign), WatchTurn(sign)
    assert one.take()
    assert not other.take()
    assert one.keep()
    one.give_back()
    assert other.take()
    assert not one.take()


def test_a_killed_holder_frees_the_turn(sign: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(sign)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        next_one = WatchTurn(sign)
        assert not next_one.take()
        holder.kill()
        holder.wait()
        assert next_one.take()


def test_a_holder_that_is_suspended_is_superseded_and_steps_down(sign: Path) -> None:
    suspended, next_one, third = WatchTurn(sign), WatchTurn(sign), WatchTurn(sign)
    assert suspended.take()
    fall_silent(sign)
    assert next_one.take()
    assert not suspended.keep()
    suspended.give_back()
    assert next_one.keep()
    assert not third.take()


def test_a_sign_that_is_deleted_ends_the_turn_and_frees_it(sign: Path) -> None:
    one, other = WatchTurn(sign), WatchTurn(sign)
    assert one.take()
    sign.unlink()
    assert not one.keep()
    one.give_back()
    assert other.take()


def test_who_cannot_give_a_sign_does_not_keep_the_turn_from_others(sign: Path) -> None:
    one, other = WatchTurn(sign), WatchTurn(sign)
    sign.mkdir()
    assert not one.take()
    sign.rmdir()
    assert other.take()
