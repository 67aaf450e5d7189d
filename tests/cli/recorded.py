"""A home with threads that were recorded through the verbs, as a server records them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_server.config import Config
from mcp_server.files_home import FilesHome
from mcp_server.models.params import Caller, SettingsRequest, StartParams, ThreadPatch
from mcp_server.models.times import Clocks

CALLER = Caller("the tests", "1")


@dataclass
class Said:
    """A turn: what was asked, what was done, what was answered; or why it failed."""

    asked: str
    answered: str | None = None
    items: Sequence[dict[str, Any]] = ()
    error: str | None = None


def call(tool: str, arguments: dict[str, Any], output: str, *, success: bool = True) -> list[dict[str, Any]]:
    """A tool call and its output, as `turn_append` takes them."""
    call_id = f"call-{tool}-{abs(hash(output))}"
    return [
        {"type": "toolCall", "call_id": call_id, "name": tool, "arguments": arguments},
        {"type": "toolOutput", "call_id": call_id, "output": output, "success": success},
    ]


@dataclass
class Recorded:
    """The home. `indexed`: with a state DB, as a server leaves one."""

    path: Path
    indexed: bool = True
    now_ms: int = 1_790_000_000_000
    threads: dict[str, str] = field(default_factory=dict[str, str])
    """Ids by name, else by first message."""

    def record(
        self,
        *turns: Said,
        name: str | None = None,
        cwd: str = "/work/shop",
        parent: str | None = None,
        nickname: str | None = None,
        tags: Sequence[str] = (),
        at_ms: int | None = None,
    ) -> str:
        """Record a thread. Returns its id."""
        self.now_ms = at_ms or self.now_ms + 60_000
        config = Config.load(self.path, state=self.indexed, codex_db="read-only")
        home = FilesHome(config, Clocks(now_ms=self._tick))
        try:
            if self.indexed:
                state = home.open_state()
                if not home.is_in_step(state):
                    home.backfill(state, lambda done, found: None)
                home.hand_out(state)
            params = StartParams(SettingsRequest(cwd), name=name, parent_thread_id=parent, agent_nickname=nickname)
            thread_id = home.service.lifecycle.start(params, CALLER).thread.id
            for turn in turns:
                home.service.turns.start(thread_id, [{"type": "text", "text": turn.asked}])
                if turn.items:
                    home.service.turns.append(thread_id, turn.items)
                status = "failed" if turn.error else "completed"
                home.service.turns.complete(thread_id, status, turn.answered, turn.error)
            if tags:
                home.service.metadata.update(thread_id, ThreadPatch(tags=tags))
            home.service.lifecycle.close_all()
        finally:
            home.close()
        self.threads[name or turns[0].asked] = thread_id
        return thread_id

    def _tick(self) -> int:
        self.now_ms += 7
        return self.now_ms


def lay_many(home: Path, number: int) -> None:
    """So many threads, that nobody has indexed."""
    folder = home / "sessions" / "2026" / "01" / "02"
    folder.mkdir(parents=True)
    at = '"timestamp":"2026-01-02T03:04:05.000Z"'
    for n in range(number):
        thread_id = f"01a00000-0000-7000-8000-{n:012x}"
        meta = f'{{{at},"type":"session_meta","payload":{{"id":"{thread_id}",{at},"cwd":"/w","originator":"x"}}}}'
        said = f'{{{at},"type":"event_msg","payload":{{"type":"user_message","message":"task {n}"}}}}'
        path = folder / f"rollout-2026-01-02T03-04-05-{thread_id}.jsonl"
        path.write_text(f"{meta}\n{said}\n" + f"{said}\n" * 40, encoding="utf-8")
