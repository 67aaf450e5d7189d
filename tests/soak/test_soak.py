"""A short soak; the long one is a command."""

import sys

import pytest

from tests.soak.soak import run


@pytest.mark.skipif(sys.platform != "linux", reason="memory and open files are read from /proc")
def test_after_a_short_soak_everything_is_back_where_it_was() -> None:
    tally, wrong, _ = run(clients=6, seconds=8, seed=1)
    assert wrong == []
    assert tally.calls.total() > 50
