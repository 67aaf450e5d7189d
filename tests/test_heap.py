"""Threads share one heap, so that what one of them freed is of use to the others."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.nightly

# Four threads hold memory at the same time; then the C library tells its heaps.
PROGRAM = """
import ctypes, sys, threading
from mcp_server.gc_tuning import use_one_malloc_arena

if sys.argv[1] == "shared":
    use_one_malloc_arena()
all_hold = threading.Barrier(4)

def hold():
    held = [bytearray(50_000) for _ in range(10)]
    all_hold.wait()

threads = [threading.Thread(target=hold) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
stdout = ctypes.c_void_p.in_dll(libc, "stdout")
libc.malloc_info(0, stdout)
libc.fflush(stdout)
"""


def heaps(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives threads heaps of their own")
def test_all_threads_share_one_heap() -> None:
    assert heaps("as glibc does") > 1
    assert heaps("shared") == 1
