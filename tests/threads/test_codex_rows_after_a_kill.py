"""Killed when files were moved, or a name or git info was written, and Codex's rows did not follow yet: the next start
lets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.models.params import GitPatch
from mcp_server.storage.files.codex_follow import CodexDatabase
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.threads.service import Stores, ThreadService
from mcp_server.threads.settings import Defaults
from tests.codex_database import Row, make, row_of, rows_of
from tests.faults import Faults, Killed
from tests.mission.conftest import rollouts
from tests.threads.conftest import Home, Homes

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
    stores = Stores(
        *(home.rollouts, home.locks(), home.state, MemoryState(), MemoryRollouts),
        codex=faults.wrap(codex) if faults else codex,
    )
    return ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=home.now_ms)


def rows(home: Home) -> dict[str, Row]:
    assert home.folder is not None
    return rows_of(home.folder)


def call(verbs: ThreadService, kind: str, root: str) -> None:
    if kind == "archive":
        verbs.cascade.archive(root, dry_run=False, interrupt_running=True)
    elif kind == "name":
        verbs.metadata.set_name(root, "the name")
    else:
        verbs.metadata.set_git(root, GitPatch({"branch": "the branch"}))


@pytest.mark.parametrize(("kind", "follow"), [("archive", "move"), ("name", "name"), ("git", "git")])
def test_killed_before_the_rows_follow_the_next_start_lets_them(
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
    assert [one.kind for one in home.state.running_operations()] == [kind]

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
