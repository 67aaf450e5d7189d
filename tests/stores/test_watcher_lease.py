"""The watcher's lease: one process has it at a time, and it passes on when its holder dies or stops renewing it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.sync.watcher import EXPIRY_SECONDS, WatcherLease

HOLDER = """
import sys
from pathlib import Path
from mcp_server.sync.watcher import WatcherLease
lease = WatcherLease(Path(sys.argv[1]))
print(lease.acquire(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    return tmp_path / "watch"


def fall_silent(sign: Path) -> None:
    long_ago = sign.stat().st_mtime - EXPIRY_SECONDS - 1
    os.utime(sign, (long_ago, long_ago))


def test_a_watcher_lease_has_one_holder_until_it_is_released(sign: Path) -> None:
    one, other = WatcherLease(sign), WatcherLease(sign)
    assert one.acquire()
    assert not other.acquire()
    assert one.renew()
    one.release()
    assert other.acquire()
    assert not one.acquire()


def test_the_lease_of_a_killed_holder_is_free(sign: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(sign)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        next_one = WatcherLease(sign)
        assert not next_one.acquire()
        holder.kill()
        holder.wait()
        assert next_one.acquire()


def test_a_suspended_holder_loses_the_lease_and_steps_down(sign: Path) -> None:
    suspended, next_one, third = WatcherLease(sign), WatcherLease(sign), WatcherLease(sign)
    assert suspended.acquire()
    fall_silent(sign)
    assert next_one.acquire()
    assert not suspended.renew()
    suspended.release()
    assert next_one.renew()
    assert not third.acquire()


def test_a_deleted_lease_file_ends_the_lease_and_frees_it(sign: Path) -> None:
    one, other = WatcherLease(sign), WatcherLease(sign)
    assert one.acquire()
    sign.unlink()
    assert not one.renew()
    one.release()
    assert other.acquire()


def test_a_process_that_can_not_write_its_heartbeat_keeps_no_lease(sign: Path) -> None:
    one, other = WatcherLease(sign), WatcherLease(sign)
    sign.mkdir()
    assert not one.acquire()
    sign.rmdir()
    assert other.acquire()
