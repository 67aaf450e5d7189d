"""The architecture, guarded: who may import whom, what is public."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mcp_server
from mcp_server import errors
from mcp_server.handlers.errors import CODES
from mcp_server.storage import contracts as base
from mcp_server.storage.codex_rows import CodexRows, NoCodexRows
from mcp_server.storage.contracts import (
    EventLog,
    Leases,
    OperationLog,
    Rollouts,
    State,
    ThreadIndex,
    TurnIndex,
    UnitOfWork,
)
from mcp_server.storage.exports import Exports, MemoryExports
from mcp_server.storage.files.codex_follow import CodexDatabase
from mcp_server.storage.files.exports import ExportFolder
from mcp_server.storage.files.locks import CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.files.tags import TagFile
from mcp_server.storage.lookup import IndexLookup, Lookup
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.storage.tags import MemoryTags, Tags

PACKAGE = Path(mcp_server.__file__).parent

# Each floor may import what is below it, and itself.
FLOORS = ("errors", "models", "codex", "storage", "sync", "threads", "handlers", "top")
ROOT_FILES = {"errors.py": "errors"}
# config.py chooses defaults for the service and is read by whoever starts a server.
# The parts of one home or another; the verbs know the contracts alone.
_CONCRETE_ROOMS = ("storage.files", "storage.memory", "storage.sqlite", "sync.watcher")
CONCRETE = tuple(f"mcp_server.{room}." for room in _CONCRETE_ROOMS)
SPEAKS_MCP = ("handlers", "server.py", "demo.py")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def floor_of(module: str) -> str:
    folder = module.split("/")[0]
    return folder if folder in FLOORS else ROOT_FILES.get(module, "top")


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_import_points_down() -> None:
    for module, tree in modules():
        mine = FLOORS.index(floor_of(module))
        for name in imports(tree):
            if not name.startswith("mcp_server."):
                continue
            first = name.split(".")[1]
            theirs = FLOORS.index(first) if first in FLOORS else len(FLOORS) - 1
            assert theirs <= mine, f"{module} imports {name}, which is above it"


def test_models_import_nothing_of_ours_but_errors_and_models() -> None:
    for module, tree in modules():
        if floor_of(module) in ("models", "errors"):
            ours = {name.split(".")[1] for name in imports(tree) if name.startswith("mcp_server.")}
            assert ours <= {"errors", "models"}, module


def test_verbs_and_handlers_name_no_concrete_home() -> None:
    for module, tree in modules():
        if floor_of(module) not in ("threads", "handlers"):
            continue
        for name in imports(tree):
            assert not f"{name}.".startswith(CONCRETE), f"{module} imports {name}"


def test_verbs_work_on_a_home_without_files() -> None:
    """They find threads through the look-up of their home, and nothing that keeps an index in step with files."""
    for module, tree in modules():
        if floor_of(module) != "threads":
            continue
        for name in imports(tree):
            assert not name.startswith("mcp_server.sync."), f"{module} imports {name}"
            assert name.split(".")[-1] not in ("RolloutStore", "StateStore"), f"{module} imports {name}"


def test_only_the_mcp_face_imports_the_sdk() -> None:
    for module, tree in modules():
        if not module.startswith(SPEAKS_MCP):
            assert not [n for n in imports(tree) if n.split(".")[0] in ("mcp", "mcp_types")], module


def test_the_core_is_synchronous() -> None:
    rooms = ("codex", "models", "storage", "sync", "threads")
    asynchronous = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        if floor_of(path) in rooms
        for node in ast.walk(tree)
        if isinstance(node, asynchronous)
    ]
    assert found == []


def test_verbs_and_handlers_look_into_no_version_of_a_rollout() -> None:
    """They hand references back to the home, which may keep no files."""
    for module, tree in modules():
        if floor_of(module) not in ("threads", "handlers"):
            continue
        for node in ast.walk(tree):
            name = getattr(node, "attr", None) or getattr(node, "name", None)
            assert name not in ("FileStamp", "stamp", "mtime_ns"), f"{module} names {name}"


def test_the_contracts_stay_narrow() -> None:
    """What every home keeps, without what only a home of files adds."""
    six = (Rollouts, ThreadIndex, TurnIndex, EventLog, OperationLog, State, Leases, UnitOfWork)
    methods = {name for one in six for name, part in vars(one).items() if callable(part) and name[0] != "_"}
    assert len(methods) <= 54, sorted(methods)


def test_only_storage_imports_sqlmodel_and_only_migrations_alembic() -> None:
    for module, tree in modules():
        roots = {name.split(".")[0] for name in imports(tree)}
        if floor_of(module) != "storage":
            assert not roots & {"sqlmodel", "sqlalchemy", "alembic", "sqlite3"} - {"sqlite3"}, module
        if "alembic" in roots:
            assert module.startswith("storage/sql/migrations/") or module == "storage/sqlite/schema.py"


def test_the_handshake_waits_for_no_database_library() -> None:
    script = (
        "import sys, mcp_server.server, mcp_server.cli\n"
        "print([name for name in ('sqlmodel', 'sqlalchemy', 'alembic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_functions_fit_a_screen() -> None:
    for module, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.endswith("_tools"):
                length = (node.end_lineno or 0) - node.lineno
                assert length <= 60 or "migrations" in module, f"{module}: {node.name} has {length} lines"


def test_nothing_but_the_protocol_writes_to_stdout() -> None:
    for module, tree in modules():
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        printed = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
        assert not printed, module


def test_the_package_exports_its_documentation_alone() -> None:
    assert mcp_server.__all__ == ["__doc__"]


# ---------------------------------------------------------------------------------------------- errors and stores


def leaves(error: type[errors.ThreadstoreError]) -> Iterator[type[errors.ThreadstoreError]]:
    for child in error.__subclasses__():
        if not child.__subclasses__():
            yield child
        yield from leaves(child)


def test_every_domain_error_has_its_row_and_no_code_is_used_twice() -> None:
    missing = [error.__name__ for error in leaves(errors.ThreadstoreError) if error not in CODES]
    assert missing == []
    assert len(set(CODES.values())) == len(CODES)


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    drawn = {line.strip("│├└─ ").split(" ")[0] for line in (errors.__doc__ or "").splitlines() if "─" in line}
    real = {name for name, value in vars(errors).items() if inspect.isclass(value)} - {"ThreadstoreError", "Sequence"}
    assert drawn == real


@pytest.mark.parametrize(
    ("contract", "stores"),
    [
        (base.RolloutStore, (RolloutFiles, MemoryRollouts)),
        (State, (StateDb, MemoryState)),
        (base.StateStore, (StateDb, MemoryState)),
        (Lookup, (IndexLookup,)),
        (Leases, (CodexWriterLocks, MemoryLocks)),
        (CodexRows, (CodexDatabase, NoCodexRows)),
        (Tags, (TagFile, MemoryTags)),
        (Exports, (ExportFolder, MemoryExports)),
    ],
)
def test_every_store_has_every_method_of_its_contract_with_the_same_parameters(
    contract: type, stores: tuple[type, ...]
) -> None:
    for name, promised in vars(contract).items():
        if name.startswith("_") or not inspect.isfunction(promised):
            continue
        for store in stores:
            assert name in vars(store), f"{store.__name__} has no {name} of its own"
            assert list(inspect.signature(vars(store)[name]).parameters) == list(inspect.signature(promised).parameters)
