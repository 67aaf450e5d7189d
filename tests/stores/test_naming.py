"""Names of rollouts and lines of the name index, as Codex reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_text import A, B, C

from mcp_server.codex.name_index import names_in
from mcp_server.codex.paths import (
    check_path,
    is_before,
    likely_folders,
    name_time_ms,
    parse_id,
    recorded_time_ms,
    revert_order,
    rollout_id_of,
    thread_id_of,
)
from mcp_server.errors import PathOutsideHome


@pytest.mark.parametrize(
    ("name", "thread_id"),
    [
        (f"rollout-2026-11-22T23-04-48-{A}.jsonl", A),
        (f"rollout-2026-11-22T23-04-48-{A}.jsonl.zst", A),
        (f"rollout-2026-11-22T23-04-48-{A.upper()}.jsonl", A),
        (f"rollout-2026-11-22T23-04-48-{A.replace('-', '')}.jsonl", A),
        (f"rollout-{A}.jsonl", A),
        ("rollout-2026-11-22T23-04-48-nonsense.jsonl", None),
        (f"rollout-2026-11-22T23-04-48-{A}.jsonl.bak", None),
    ],
)
def test_the_id_of_a_name_is_the_uuid_at_its_end(name: str, thread_id: str | None) -> None:
    assert thread_id_of(name) == thread_id


def test_the_name_of_a_reverted_rollout_tells_the_thread_and_the_rollout() -> None:
    first, later, last = (f"sessions/rollout-2026-11-22T23-04-48-{ids}.jsonl" for ids in (A, f"{A}_{B}", f"{A}_{C}"))
    assert [thread_id_of(path.rpartition("/")[2]) for path in (first, later, last)] == [A, A, A]
    assert [rollout_id_of(path) for path in (first, later, last)] == [A, B, C]
    assert sorted((last, first, later), key=revert_order) == [first, later, last]
    assert rollout_id_of("sessions/rollout-odd.jsonl") is None


@pytest.mark.parametrize(
    ("folder", "before"),
    [
        ("sessions", False),
        ("sessions/2026", False),
        ("sessions/2025", True),
        ("sessions/2026/10", True),
        ("sessions/2026/11", False),
        ("sessions/2026/11/21", True),
        ("sessions/2026/11/22", False),
        ("sessions/2026/12/01", False),
        ("sessions/2025/elsewhere", False),
        ("archived_sessions", False),
    ],
)
def test_only_date_folders_come_before_a_day(folder: str, before: bool) -> None:
    assert is_before(folder, "sessions/2026/11/22") is before
    assert not is_before(folder, "")


def test_blank_names_and_bad_lines_of_the_index_are_skipped() -> None:
    """find_thread_names_by_ids_prefers_latest_entry, scan_index_finds_latest_match_among_mixed_entries"""
    index = (
        b'{"id":"%(a)s","thread_name":"kept","updated_at":"2026-11-22T23:04:49.608749552Z"}\n'
        b"garbage\n\n"
        b'{"id":"%(a)s","thread_name":"   ","updated_at":""}\n'
        b'{"id":"no uuid","thread_name":"x"}\n'
        b'{"id":"%(b)s","thread_name":" later ","more":1}\n'
        b'{"id":"%(b)s","thread_na' % {b"a": A.encode(), b"b": B.upper().encode()}
    )
    assert names_in(index) == {A: "kept", B: "later"}


@given(st.binary(max_size=200))
def test_any_bytes_can_stand_in_the_index(index: bytes) -> None:
    assert all(name.strip() for name in names_in(index).values())


@given(st.text(alphabet=st.sampled_from("a./\\sesion\0"), max_size=12))
def test_a_checked_path_never_leaves_its_folder(rest: str) -> None:
    try:
        path = check_path(f"sessions/{rest}", "sessions")
    except PathOutsideHome:
        return
    assert not {"", ".", ".."} & set(path.split("/"))
    assert "\\" not in path


@pytest.mark.parametrize("form", [A, A.upper(), A.replace("-", ""), f"urn:uuid:{A}", f"{{{A}}}"])
def test_an_id_in_any_form_that_codex_takes_is_the_same_id(form: str) -> None:
    assert parse_id(form) == A


@pytest.mark.parametrize(
    "text",
    [
        "",
        A[:-1],
        f"{A}0",
        f" {A}",
        f"{{{A}",
        f"{{{A.replace('-', '')}}}",
        f"URN:UUID:{A}",
        A.replace("-", "", 1),
        5,
        None,
    ],
)
def test_any_other_value_is_no_id(text: object) -> None:
    assert parse_id(text) is None


@given(st.text(max_size=30))
def test_any_text_parses_as_a_time_or_none(text: str) -> None:
    assert isinstance(recorded_time_ms(text), int | None)


def test_the_time_in_a_name_is_read_as_utc() -> None:
    assert name_time_ms(f"rollout-2026-11-22T23-04-48-{A}.jsonl") == 1_795_388_688_000
    assert name_time_ms(f"rollout-{A}.jsonl") is None
    assert name_time_ms(f"rollout-2026-13-22T23-04-48-{A}.jsonl") is None


def test_a_rollout_is_looked_for_on_the_days_around_the_time_in_its_id() -> None:
    assert set(likely_folders(A)) == {"sessions/2026/11/21", "sessions/2026/11/22", "sessions/2026/11/23"}
    assert likely_folders("9f1c9dd2-1111-4222-8333-444455556666") == []
    assert likely_folders("ffffffff-ffff-7fff-8fff-ffffffffffff") == []
