"""A short run of the fuzzers; the long ones are commands."""

from tests.damage import fuzz, fuzz_homes


def test_no_damage_crashes_a_reader_or_loses_a_good_line() -> None:
    assert fuzz.run(cases=2_000, seed=7) == 2_000


def test_no_home_of_damaged_files_stops_a_server_or_hides_a_file() -> None:
    assert fuzz_homes.run(homes=4, seed=7) == 4
