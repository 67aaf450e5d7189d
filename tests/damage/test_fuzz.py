"""A short run of the fuzzer, with another seed each day."""

import time

from tests.damage.fuzz import run


def test_no_damage_crashes_a_reader_or_loses_a_good_line() -> None:
    assert run(cases=2_000, seed=int(time.time() // 86_400)) == 2_000
