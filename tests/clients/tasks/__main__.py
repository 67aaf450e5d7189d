"""`python -m tests.clients.tasks`: what the tasks cost through each real agent, as a table."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.clients.tasks.driving import AGENTS, Cost, by_task, cost_of, drive, made_home
from tests.clients.tasks.scripts import TASKS


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = made_home(Path(folder) / "home")
        seen = {name: drive(AGENTS[name], home, Path(folder) / name)[0] for name in names}
    rows = {task.asked: [_cell(cost_of(by_task(one)[task.asked])) for one in seen.values()] for task in TASKS}
    rows["in all"] = [_cell(cost_of(one.exchanges)) for one in seen.values()]
    rows["finding tools"] = [_look_ups(cost_of(one.exchanges)) for one in seen.values()]
    print(f"| task | {' | '.join(names)} |\n|---|{'--:|' * len(names)}")
    for asked, cells in rows.items():
        print(f"| {asked} | {' | '.join(cells)} |")


def _cell(cost: Cost) -> str:
    return f"{cost.calls}; {cost.tokens:,}"


def _look_ups(cost: Cost) -> str:
    return f"{cost.look_ups}; {cost.look_up_tokens:,}" if cost.look_ups else ""


if __name__ == "__main__":
    main(sys.argv[1:] or list(AGENTS))
