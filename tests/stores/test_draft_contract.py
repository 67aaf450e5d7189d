"""Rollouts that a RolloutStore is given in parts: the same bodies on files and in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from rollout_text import META, PATH_A
from test_rollout_contract import store as store

from mcp_server.errors import DamagedRollout, RolloutNameTaken
from mcp_server.storage.contracts import RolloutStore

pytestmark = pytest.mark.anyio


async def parts(*data: bytes) -> AsyncGenerator[bytes]:
    for part in data:
        yield part


LONG = b"x" * 700_000 + b"\n"


async def test_a_draft_is_no_rollout_until_it_is_made_one(store: RolloutStore) -> None:
    async with store.drafted(PATH_A, parts(META, LONG, b"", LONG, b"en", b"d\n")) as put:
        assert await store.files() == []
        stamp = await put()
        assert [file.stamp for file in await store.files()] == [stamp]
    assert await store.read(PATH_A, [(0, stamp.size)]) == [META + LONG + LONG + b"end\n"]


async def test_a_draft_that_is_not_made_one_leaves_nothing(store: RolloutStore) -> None:
    async with store.drafted(PATH_A, parts(META, LONG, LONG)):
        pass
    assert await store.files() == []
    await store.create(PATH_A, META)


async def test_where_a_part_can_not_be_had_there_is_no_draft(store: RolloutStore) -> None:
    async def broken() -> AsyncGenerator[bytes]:
        yield LONG
        yield LONG
        raise DamagedRollout("source", "is gone")

    with pytest.raises(DamagedRollout, match="source"):
        async with store.drafted(PATH_A, broken()):
            pytest.fail("it is whole")
    assert await store.files() == []


async def test_a_draft_takes_no_name_that_is_taken(store: RolloutStore) -> None:
    async with store.drafted(PATH_A, parts(b"other\n")) as put:
        await store.create(PATH_A, META)
        with pytest.raises(RolloutNameTaken):
            await put()
    assert await store.read(PATH_A, [(0, len(META))]) == [META]
