"""The full text of SQLite, beside what the contract says of texts."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mcp_server.storage.sqlite.database import StateDb
from tests.contract.test_texts import found, hold


def test_an_index_that_was_begun_anew_often_is_sound_and_finds_what_is_there_now(tmp_path: Path) -> None:
    """Texts that are gone leave their runs of three behind, under numbers that others take."""
    with closing(StateDb.open(tmp_path / "db")) as state:
        hold(state, "of another thread", key="b")
        for n in range(60):
            hold(state, *(f"round {n} text {m} {'word ' * 40}" for m in range(20)))
        assert found(state, "round 59 text 7") == [("a", 7)]
        assert found(state, "another thread") == [("b", 0)]
        with state.transaction() as session:
            session.exec_driver_sql("INSERT INTO said_text (said_text) VALUES ('integrity-check')")
