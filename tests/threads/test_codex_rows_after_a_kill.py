"""Killed when files were moved, or a name or git info was written, and Codex's rows did not follow yet: the next start
lets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.models.params import GitPatch, ThreadPatch
from mcp_server.storage.files.codex_follow import CodexDatabase
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from tests.codex_database import Row, make, row_of, rows_of
from tests.faults import Faults, Killed
from tests.mission.conftest import rollouts
from tests.threads.conftest import Home, Homes
from tests.worlds import files_stores

TREE = (None, 0, 0, 1)


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Home, list[str]]:
    """A tree that Codex has a row for each thread of."""
    home = Homes(tmp_path).new()
    ids = home.plant(*TREE)
    assert home.folder is not None
    make(home.folder, *map(row_of, rollouts(home.folder)))
    return home, ids


def service(home: Home, faults: Faults | None = None) -> ThreadService:
    assert home.folder is not None
    codex = CodexDatabase(home.folder, home.folder)
    codex = faults.wrap(codex) if faults else codex
    stores = files_stores(home.rollouts, home.locks(), home.state, codex=codex)
    return ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=home.now_ms)


def rows(home: Home) -> dict[str, Row]:
    assert home.folder is not None
    return rows_of(home.folder)


def call(verbs: ThreadService, kind: str, root: str) -> None:
    if kind == "archive":
        verbs.cascade.archive(root, dry_run=False, interrupt_running=True)
    elif kind == "name":
        verbs.metadata.update(root, ThreadPatch(name="the name"))
    else:
        verbs.metadata.update(root, ThreadPatch(git=GitPatch({"branch": "the branch"})))


@pytest.mark.parametrize(("kind", "follow"), [("archive", "move"), ("name", "name"), ("git", "git")])
def test_codexs_rows_that_a_kill_left_behind_are_updated_at_the_next_start(
    planted: tuple[Home, list[str]], kind: str, follow: str
) -> None:
    home, ids = planted
    before = rows(home)
    faults = Faults(stop=follow)
    with pytest.raises(Killed):
        call(service(home, faults), kind, ids[0])
    home.kill()
    assert faults.calls[-1] == follow
    assert rows(home) == before
    assert [one.kind for one in home.state.running_operations()] == ["archive" if kind == "archive" else "update"]

    again = service(home)
    finished = [*again.cascade.finish(), *again.metadata.finish()]
    assert [one.root_id for one in finished] == ids[:1]
    assert home.state.running_operations() == []
    assert home.locked() == []
    after = rows(home)
    if kind == "archive":
        assert {i: (row["archived"], row["rollout_path"]) for i, row in after.items()} == {
            path.stem[-36:]: (1, str(path)) for path in rollouts(home.folder or Path())
        }
    else:
        changed = {"title": "the name"} if kind == "name" else {"git_branch": "the branch"}
        assert after == before | {ids[0]: before[ids[0]] | changed}


@pytest.mark.parametrize("kind", ["name", "git"])
def test_an_operation_that_can_not_be_finished_leaves_the_journal(planted: tuple[Home, list[str]], kind: str) -> None:
    home, ids = planted
    with pytest.raises(Killed):
        call(service(home, Faults(stop=kind)), kind, ids[3])
    home.kill()
    home.rollouts.remove(RolloutRef(home.path(ids[3])))
    assert [one.root_id for one in service(home).metadata.finish()] == [ids[3]]
    assert home.state.running_operations() == []
