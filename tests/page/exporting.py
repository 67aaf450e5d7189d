"""Exports as pages, and the addresses at which a browser opens them."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from mcp_server.cli import app


def exported(home: Path, thread: str, folder: Path, *options: str) -> str:
    file = folder / f"{thread}.html"
    words = ["export", thread, "--format", "html", "-o", str(file), "--home", str(home), *options]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return file.as_uri()
