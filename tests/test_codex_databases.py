"""Where Codex keeps its databases of a home, and whether they may be changed: as its own configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.config import Config


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CODEX_SQLITE_HOME", "THREADSTORE_CODEX_DB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "user"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def configured(home: Path, line: str = "") -> Path:
    (home / "config.toml").write_text(line)
    return Config.load(home).codex_databases


def test_codex_databases_are_in_the_home_by_default(home: Path) -> None:
    assert Config.load(home).codex_databases == home
    assert configured(home, "sqlite_home = 7") == configured(home, 'sqlite_home = ""') == home


def test_sqlite_home_of_config_toml_overrides_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEX_SQLITE_HOME", str(home / "environment"))
    assert configured(home) == home / "environment"
    assert configured(home, f"sqlite_home = '{home / 'given'}'") == home / "given"


def test_relative_database_folders_resolve_as_in_codex(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured(home, 'sqlite_home = "databases"') == home / "databases"
    assert configured(home, 'sqlite_home = "~/databases"') == home.parent / "user/databases"
    monkeypatch.setenv("CODEX_SQLITE_HOME", "databases")
    assert configured(home) == home.parent / "databases"


@pytest.mark.parametrize(
    ("value", "mode"),
    [(None, "follow"), ("", "follow"), ("follow", "follow"), ("read-only", "read-only"), ("no", "read-only")],
)
def test_a_codex_db_variable_other_than_follow_means_read_only(
    home: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, mode: str
) -> None:
    if value is not None:
        monkeypatch.setenv("THREADSTORE_CODEX_DB", value)
    assert Config.load(home).codex_db == mode
    assert Config.load(home, codex_db="follow").codex_db == "follow"
