"""Tokens that we count in real rollouts, beside those that Codex's own database has for the same threads."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.golden.beside import Beside, GoldenHome

pytestmark = pytest.mark.anyio


def counted_by_codex(golden: GoldenHome) -> dict[str, int]:
    folder = GoldenHome.folder_of(golden.name)
    uri = f"file:{folder / 'home' / 'state_5.sqlite'}?immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        return dict(database.execute("SELECT id, tokens_used FROM threads WHERE tokens_used > 0"))


async def test_a_thread_has_the_tokens_that_codex_has_counted(beside: Beside) -> None:
    compared = 0
    for thread_id, theirs in counted_by_codex(beside.golden).items():
        if (await beside.refusal("thread_read", thread_id=thread_id)) is not None:
            continue
        tokens = (await beside.call("thread_read", thread_id=thread_id)).get("tokens")
        if tokens is None:
            continue
        compared += 1
        assert tokens["input"] + tokens["output"] == theirs, thread_id
        assert tokens["window_size"] == 258_400
    assert compared > 10
