"""Transactions on one engine."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import Connection, Engine

from mcp_server.storage.sqlite.engine import transaction


class Sessions:
    def __init__(self, engine: Engine) -> None:
        self._engines = {begin: engine.execution_options(begin=begin) for begin in ("BEGIN", "BEGIN IMMEDIATE")}

    @contextmanager
    def transaction(self, begin: Literal["BEGIN", "BEGIN IMMEDIATE"]) -> Generator[Connection]:
        with transaction(self._engines[begin]) as connection:
            yield connection

    def close(self) -> None: ...
