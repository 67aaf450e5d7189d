import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Whoever runs the tests may have settings of their own for the server, or go through a proxy.
_FOR_THE_TESTS = ("THREADSTORE_SHARED", "THREADSTORE_SWEEP", "THREADSTORE_UPDATE_SNAPSHOTS")
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


# What starts processes by the dozen, measures, or waits for real programs.
_HEAVY = ("benchmarks", "clients", "damage", "manifests", "many", "peer", "soak", "struck")


@pytest.hookimpl(tryfirst=True)  # the workers give tests their names by these marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several workers share the tests, the heavy ones go to one of them, one after the other."""
    for item in items:
        folder, *more = item.path.relative_to(Path(__file__).parent).parts
        if folder in _HEAVY or not more:
            item.add_marker(pytest.mark.xdist_group("heavy"))
