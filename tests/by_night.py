"""What is left to the nightly run, where the daily one has a case like it."""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.mark import ParameterSet


def nightly(*values: Any, id: str | None = None) -> ParameterSet:  # noqa: A002 - pytest's own name for it
    """The values of a test's parameters that are tried in the nightly run alone."""
    return pytest.param(*values, marks=pytest.mark.nightly, id=id)
