"""Rollouts that a store is given in parts."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import DamagedRollout, RolloutNameTaken
from mcp_server.storage.contracts import RolloutStore
from tests.stores.rollout_text import META, PATH_A


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
