import pytest
from hypothesis import HealthCheck, settings

# How long an example takes tells of the machine, not of the code.
settings.register_profile("threadstore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("threadstore")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
