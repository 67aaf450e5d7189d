"""The tags of threads, in memory and as a file beside the index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_server.errors import DamagedRollout, StoreFailure
from mcp_server.storage.files.tags import TAG_FILE, TagFile
from mcp_server.storage.tags import MemoryTags, Tags

A, B, C = (f"01a20581-0000-7000-8000-{number:012x}" for number in (1, 2, 3))
KINDS: dict[str, Callable[[Path], Tags]] = {"memory": lambda _: MemoryTags(), "files": TagFile}


@pytest.fixture(params=KINDS)
def tags(request: pytest.FixtureRequest, tmp_path: Path) -> Tags:
    return KINDS[request.param](tmp_path / "home")


def test_a_thread_has_the_tags_that_it_was_given_last_sorted(tags: Tags) -> None:
    tags.set(A, ["later", "bug"], 1)
    tags.set(B, ["bug"], 2)
    assert tags.of([A, B, C]) == {A: ("bug", "later"), B: ("bug",)}
    tags.set(A, ["done"], 3)
    assert tags.of([A]) == {A: ("done",)}


def test_no_tags_forget_the_thread(tags: Tags) -> None:
    tags.set(A, ["bug"], 1)
    tags.set(A, [], 2)
    tags.set(B, [], 3)
    assert (tags.of([A, B]), tags.having(["bug"])) == ({}, set())


def test_threads_are_found_that_have_all_tags_whatever_their_case(tags: Tags) -> None:
    tags.set(A, ["Bug", "later"], 1)
    tags.set(B, ["bug"], 2)
    assert tags.having(["bug"]) == {A, B}
    assert tags.having(["LATER", "bug"]) == {A}
    assert tags.having(["bug", "unknown"]) == set()


def test_another_process_sees_the_tags_at_once(tmp_path: Path) -> None:
    one, other = TagFile(tmp_path), TagFile(tmp_path)
    for tag in ("first", "other"):
        one.set(A, [tag], 1)
        assert other.of([A]) == {A: (tag,)}


def test_a_line_that_can_not_be_read_costs_only_itself(tmp_path: Path) -> None:
    tags = TagFile(tmp_path)
    tags.set(A, ["kept"], 1)
    with (tmp_path / TAG_FILE).open("ab") as file:
        file.write(b'{"id": "no id", "tags": ["x"]}\n\xff\xfe\n{"id": "torn')
    tags.set(B, ["kept too"], 2)
    assert tags.of([A, B]) == {A: ("kept",), B: ("kept too",)}


def test_a_file_of_outdated_lines_is_written_anew_so_that_it_stays_small(tmp_path: Path) -> None:
    tags = TagFile(tmp_path)
    tags.set(B, ["beside"], 0)
    for number in range(1_000):
        tags.set(A, [f"tag {number}"], number)
    assert tags.of([A, B]) == {A: ("tag 999",), B: ("beside",)}
    assert (tmp_path / TAG_FILE).read_bytes().count(b"\n") < 300


def test_what_is_no_file_hides_no_thread_and_takes_no_tag(tmp_path: Path) -> None:
    (tmp_path / TAG_FILE).mkdir()
    tags = TagFile(tmp_path)
    assert tags.of([A]) == {}
    with pytest.raises(DamagedRollout, match=TAG_FILE):
        tags.having(["x"])
    with pytest.raises(StoreFailure, match=TAG_FILE):
        tags.set(A, ["x"], 1)
