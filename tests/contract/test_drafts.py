"""Rollouts that a store is given in parts."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import DamagedRollout, RolloutNameTaken
from mcp_server.storage.contracts import RolloutStore
from tests.stores.rollout_text import META, PATH_A, PATH_B


def parts(*data: bytes) -> Generator[bytes]:
    yield from data


LONG = b"x" * 700_000 + b"\n"


def test_a_draft_is_no_rollout_until_it_is_made_one(store: RolloutStore) -> None:
    with store.drafted(RolloutRef(PATH_A), parts(META, LONG, b"", LONG, b"en", b"d\n")) as put:
        assert list(store.walk()) == []
        stamp = put().stamp
        assert [file.stamp for file in store.walk()] == [stamp]
    assert store.read(RolloutRef(PATH_A), [(0, stamp.size)]) == [META + LONG + LONG + b"end\n"]


def test_a_draft_that_is_not_made_one_leaves_nothing(store: RolloutStore) -> None:
    with store.drafted(RolloutRef(PATH_A), parts(META, LONG, LONG)):
        pass
    assert list(store.walk()) == []
    store.create(RolloutRef(PATH_A), META)


def test_a_draft_whose_parts_fail_leaves_nothing(store: RolloutStore) -> None:
    def broken() -> Generator[bytes]:
        yield LONG
        yield LONG
        raise DamagedRollout("source", "is gone")

    with pytest.raises(DamagedRollout, match="source"), store.drafted(RolloutRef(PATH_A), broken()):
        pytest.fail("it is whole")
    assert list(store.walk()) == []


def test_a_draft_takes_no_name_that_is_taken(store: RolloutStore) -> None:
    with store.drafted(RolloutRef(PATH_A), parts(b"other\n")) as put:
        store.create(RolloutRef(PATH_A), META)
        with pytest.raises(RolloutNameTaken):
            put()
    assert store.read(RolloutRef(PATH_A), [(0, len(META))]) == [META]


# ---------------------------------------------------------------------------------------------- several together


def both() -> list[tuple[RolloutRef, Generator[bytes]]]:
    return [(RolloutRef(PATH_A), parts(META, LONG)), (RolloutRef(PATH_B), parts(LONG, b"", LONG))]


def test_drafts_of_several_become_rollouts_together(store: RolloutStore) -> None:
    with store.drafted_many(both()) as put:
        assert list(store.walk()) == []
        made = put()
        assert sorted(store.walk(), key=lambda file: file.path) == made
    assert [file.path for file in made] == [PATH_A, PATH_B]
    assert store.read(made[1], [(0, made[1].size)]) == [LONG + LONG]


def test_if_one_of_several_drafts_finds_its_name_taken_none_becomes_a_rollout(store: RolloutStore) -> None:
    with store.drafted_many(both()) as put:
        taken = store.create(RolloutRef(PATH_B), META)
        with pytest.raises(RolloutNameTaken):
            put()
        assert list(store.walk()) == [taken]
    assert store.read(taken, [(0, len(META))]) == [META]


def test_if_the_parts_of_one_of_several_drafts_fail_nothing_is_left(store: RolloutStore) -> None:
    def broken() -> Generator[bytes]:
        yield LONG
        raise DamagedRollout("source", "is gone")

    drafts = [(RolloutRef(PATH_A), parts(META)), (RolloutRef(PATH_B), broken())]
    with pytest.raises(DamagedRollout, match="source"), store.drafted_many(drafts):
        pytest.fail("they are whole")
    assert list(store.walk()) == []
