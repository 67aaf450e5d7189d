"""`threadstore doctor` and `threadstore reindex`: the index beside the files."""

from __future__ import annotations

from typing import Annotated

import typer

from mcp_server.cli.options import HomeOption, check_home


def doctor(
    home: HomeOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair the index, after showing the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Repair without asking.")] = False,
) -> None:
    """Show how index and files differ. Exit code 1 if they do."""
    from mcp_server.config import Config
    from mcp_server.maintenance import run_doctor

    config = Config.load(home)
    check_home(config, new=False)
    raise typer.Exit(run_doctor(config, repair=repair, yes=yes))


def reindex(home: HomeOption = None) -> None:
    """Rebuild the index from the files. Servers may run meanwhile. A stopped rebuild resumes where it was."""
    from mcp_server.config import Config
    from mcp_server.maintenance import run_reindex

    config = Config.load(home)
    check_home(config, new=False)
    raise typer.Exit(run_reindex(config))
