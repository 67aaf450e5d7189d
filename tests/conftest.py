import os
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

# Whoever runs the tests may have settings of their own for the server, or go through a proxy.
_FOR_THE_TESTS = tuple(
    f"THREADSTORE_{name}" for name in ("REQUIRE_CLIENTS", "SCREENSHOTS", "SHARED", "SWEEP", "UPDATE_SNAPSHOTS")
)
for _name in [name for name in os.environ if name.startswith("THREADSTORE_") and name not in _FOR_THE_TESTS]:
    del os.environ[_name]
_here = ("127.0.0.1", "localhost", os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "")
os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, _here))

# How long an example takes tells of the machine, not of the code.
settings.register_profile("threadstore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("threadstore")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


ERAS = "auto", "legacy"
_WITH_ERAS = ("damage", "golden", "mission")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test speaks the protocol of one era, which its name chooses, and that of the other in the nightly set."""
    folder = metafunc.definition.path.relative_to(Path(__file__).parent).parts[0]
    chosen_by_itself = any(mark.args[0] == "era" for mark in metafunc.definition.iter_markers("parametrize"))
    if folder in _WITH_ERAS and "era" in metafunc.fixturenames and not chosen_by_itself:
        chosen = crc32(metafunc.definition.nodeid.encode()) % 2
        eras = [ERAS[chosen], pytest.param(ERAS[1 - chosen], marks=pytest.mark.nightly)]
        metafunc.parametrize("era", eras, indirect=True)


_LOAD = ("benchmarks", "cli", "damage", "manifests", "many", "soak", "struck")


@pytest.hookimpl(tryfirst=True)  # the workers give tests their names by these marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _group(item: pytest.Item) -> str | None:
    """The tests that one worker does, one after the other, where several workers share them.

    - "load": what starts processes by the dozen, fills disks or bounds memory, and all that runs the command line. Two
      of them at once would starve each other's clients until these give up.
    - "Codex" with a number: what runs beside the Codex of that number, on a mock model of its own. It waits more than
      it works, so two versions may go at once, and beside the load.
    - The tests of a client name a group of their own, since they share a server.

    The groups are the largest pieces of the suite. xdist hands them out first, and fills up with single tests.
    """
    if item.get_closest_marker("xdist_group"):
        return None
    folder, *more = item.path.relative_to(Path(__file__).parent).parts
    if folder == "peer":
        callspec = getattr(item, "callspec", None)
        return f"Codex {callspec.indices.get('peer', 0) if callspec else 0}"
    return "load" if folder in _LOAD or not more else None
