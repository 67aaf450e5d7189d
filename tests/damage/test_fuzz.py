"""A short run of the fuzzer; the long one is a command."""

from tests.damage.fuzz import run


def test_no_damage_crashes_a_reader_or_loses_a_good_line() -> None:
    assert run(cases=2_000, seed=7) == 2_000
