"""Every verb that changes something, through a client: what is planted before, what goes just before it, the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.codex_database import make, row_of
from tests.mission.conftest import Tools, rollouts

_KINDS = ["appServer", "subAgent"]


@dataclass
class Story:
    """What the client was told, by thread: its messages in order. `ids` are the threads that steps speak of, the
    newest last."""

    ids: list[str] = field(default_factory=list[str])
    said: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    acknowledged: bool = False
    operation_id: str = ""
    bundle: str = ""
    """The path of an exported bundle."""

    def tell(self, thread_id: str, *texts: str) -> None:
        self.said.setdefault(thread_id, []).extend(texts)


Step = Callable[[Tools, Story], Awaitable[None]]


@dataclass(frozen=True)
class Verb:
    """`plant` runs in a server of its own, that ends in order; `ready` and `call` in the one that is struck, which is
    struck in `call` alone. `tree` says how the planted threads stand before and after: archived, or gone (None);
    `says` is what the call adds to its thread. `shows` are fields of the thread with their values then: all
    of them or none. `again` goes before the call when it is repeated on the next server. `from_the_start`: the planted
    index is lost, and the server is struck from its start on. `codex`: Codex has a row of each planted thread, which
    must tell the same as our server in the end."""

    call: Step
    plant: tuple[Step, ...] = ()
    ready: tuple[Step, ...] = ()
    tree: tuple[bool, bool | None] | None = None
    says: tuple[str, ...] = ()
    again: tuple[Step, ...] = ()
    from_the_start: bool = False
    codex: bool = False
    shows: dict[str, object] | None = None


# ---------------------------------------------------------------------------------------------- steps


async def start(tools: Tools, story: Story) -> None:
    story.ids.append(await tools.start(name="named"))


async def first_message(tools: Tools, story: Story) -> None:
    await tools("turn_start", thread_id=story.ids[-1], input="question")
    story.tell(story.ids[-1], "question")


async def append(tools: Tools, story: Story) -> None:
    items = [{"type": "agentMessage", "text": text} for text in ("one", "two")]
    await tools("turn_append", thread_id=story.ids[-1], items=items)
    story.tell(story.ids[-1], "one", "two")


async def complete(tools: Tools, story: Story) -> None:
    await tools("turn_complete", thread_id=story.ids[-1], message="answer")
    story.tell(story.ids[-1], "answer")


async def resume(tools: Tools, story: Story) -> None:
    await tools("thread_resume", thread_id=story.ids[-1])


async def unsubscribe(tools: Tools, story: Story) -> None:
    await tools("thread_unsubscribe", thread_id=story.ids[-1])


async def rename(tools: Tools, story: Story) -> None:
    await tools("thread_update", thread_id=story.ids[-1], name="renamed")


async def git(tools: Tools, story: Story) -> None:
    await tools("thread_update", thread_id=story.ids[-1], git_info={"branch": "struck"})


async def tag(tools: Tools, story: Story) -> None:
    await tools("thread_update", thread_id=story.ids[-1], tags=["struck"])


async def update(tools: Tools, story: Story) -> None:
    await tools(
        "thread_update", thread_id=story.ids[-1], name="renamed", git_info={"branch": "struck"}, tags=["struck"]
    )


async def fork(tools: Tools, story: Story) -> None:
    forked = await tools("thread_fork", thread_id=story.ids[-1])
    story.tell(forked["thread"]["id"], *story.said[story.ids[-1]])


async def export(tools: Tools, story: Story) -> None:
    exported = await tools("thread_export", thread_id=story.ids[-1], format="bundle")
    story.bundle = exported["path"]


async def take_in(tools: Tools, story: Story) -> None:
    """Its id is taken, so the imported thread gets a new one."""
    imported = await tools("thread_import", path=story.bundle)
    story.tell(imported["thread_id"], *story.said[story.ids[-1]])


async def tree(tools: Tools, story: Story) -> None:
    """root -> (left -> leaf, right), and a thread beside it that no cascade may touch."""
    root = await tools.written("root", name="the root")
    left = await tools.written("left", parent_thread_id=root)
    right = await tools.written("right", parent_thread_id=root)
    leaf = await tools.written("leaf", parent_thread_id=left)
    beside = await tools.written("beside")
    story.ids = [root, left, right, leaf]
    for thread_id, text in zip((*story.ids, beside), ("root", "left", "right", "leaf", "beside"), strict=True):
        story.tell(thread_id, text, "done")
        await tools("thread_unsubscribe", thread_id=thread_id)


async def archive(tools: Tools, story: Story) -> None:
    await tools("thread_archive", thread_id=story.ids[0], interrupt_running=True)


async def unarchive(tools: Tools, story: Story) -> None:
    await tools("thread_unarchive", thread_id=story.ids[0])


async def delete(tools: Tools, story: Story) -> None:
    await tools("thread_delete", thread_id=story.ids[0], confirm_thread_id=story.ids[0], interrupt_running=True)


async def trees(tools: Tools, story: Story) -> None:
    """Two trees of two threads, and a thread beside them that no cascade may touch."""
    one, other = await tools.written("one"), await tools.written("other")
    below_one = await tools.written("below one", parent_thread_id=one)
    below_other = await tools.written("below other", parent_thread_id=other)
    beside = await tools.written("beside")
    story.ids = [one, other, below_one, below_other]
    for thread_id, text in zip(
        (*story.ids, beside), ("one", "other", "below one", "below other", "beside"), strict=True
    ):
        story.tell(thread_id, text, "done")
        await tools("thread_unsubscribe", thread_id=thread_id)


async def archive_many(tools: Tools, story: Story) -> None:
    receipt = await tools("thread_archive", thread_ids=story.ids[:2], interrupt_running=True)
    story.operation_id = receipt["operation_id"] or story.operation_id


async def delete_many(tools: Tools, story: Story) -> None:
    roots = story.ids[:2]
    await tools("thread_delete", thread_ids=roots, confirm_thread_ids=roots, interrupt_running=True)


async def undo(tools: Tools, story: Story) -> None:
    await tools("thread_unarchive", operation_id=story.operation_id)


async def working(tools: Tools, story: Story) -> None:
    """The leaf is loaded, and a turn runs in it."""
    leaf = story.ids[-1]
    await tools("thread_resume", thread_id=leaf)
    await tools("turn_start", thread_id=leaf, input="still at work")
    story.tell(leaf, "still at work")


async def known_to_codex(tools: Tools, _: Story) -> None:
    """Codex has seen all threads that are there."""
    home = Path((await tools("store_status"))["home"])
    make(home, *map(row_of, rollouts(home)))


WRITTEN = (start, first_message, complete, unsubscribe)
KNOWN = (*WRITTEN, known_to_codex)
ALL_PARTS: dict[str, object] = {"name": "renamed", "git_info": {"branch": "struck"}, "tags": ["struck"]}


async def look(tools: Tools, _: Story) -> None:
    await tools("thread_list")


VERBS: dict[str, Verb] = {
    "a server's start without an index": Verb(look, plant=(tree, archive), from_the_start=True),
    "thread_start": Verb(start),
    "the first turn_start": Verb(first_message, says=("question",), ready=(start,), again=(resume,)),
    "a later turn_start": Verb(first_message, says=("question",), plant=WRITTEN, ready=(resume,), again=(resume,)),
    "turn_append": Verb(append, says=("one", "two"), ready=(start, first_message), again=(resume, first_message)),
    "turn_complete": Verb(
        complete, says=("answer",), ready=(start, first_message, append), again=(resume, first_message)
    ),
    "thread_resume": Verb(resume, plant=WRITTEN),
    "thread_update of the name": Verb(rename, plant=WRITTEN, shows={"name": "renamed"}),
    "thread_update of a fresh thread": Verb(rename, ready=(start,)),
    "thread_update of git info": Verb(git, plant=WRITTEN, shows={"git_info": {"branch": "struck"}}),
    "thread_update of all parts": Verb(update, plant=WRITTEN, shows=ALL_PARTS),
    "thread_update of all parts where Codex has been": Verb(update, plant=KNOWN, shows=ALL_PARTS, codex=True),
    "thread_update of tags": Verb(tag, plant=WRITTEN, shows={"tags": ["struck"]}),
    "thread_fork": Verb(fork, plant=WRITTEN),
    "thread_export": Verb(export, plant=WRITTEN),
    "thread_import": Verb(take_in, plant=(*WRITTEN, export)),
    "thread_unsubscribe": Verb(unsubscribe, ready=(start, first_message)),
    "thread_archive": Verb(archive, plant=(tree,), tree=(False, True)),
    "thread_archive of working threads": Verb(archive, plant=(tree,), ready=(working,), tree=(False, True)),
    "thread_unarchive": Verb(unarchive, plant=(tree, archive), tree=(True, False)),
    "thread_delete": Verb(delete, plant=(tree,), tree=(False, None)),
    "thread_archive of many": Verb(archive_many, plant=(trees,), ready=(working,), tree=(False, True)),
    "thread_unarchive of an operation": Verb(undo, plant=(trees, archive_many), tree=(True, False)),
    "thread_delete of many": Verb(delete_many, plant=(trees,), tree=(False, None)),
    "thread_archive of many where Codex has been": Verb(
        archive_many, plant=(trees, known_to_codex), tree=(False, True), codex=True
    ),
    "thread_archive where Codex has been": Verb(
        archive, plant=(tree, known_to_codex), ready=(working,), tree=(False, True), codex=True
    ),
    "thread_unarchive where Codex has been": Verb(
        unarchive, plant=(tree, archive, known_to_codex), tree=(True, False), codex=True
    ),
    "thread_update of the name where Codex has been": Verb(rename, plant=KNOWN, shows={"name": "renamed"}, codex=True),
    "thread_update of git info where Codex has been": Verb(
        git, plant=KNOWN, shows={"git_info": {"branch": "struck"}}, codex=True
    ),
    "thread_delete of working threads": Verb(delete, plant=(tree,), ready=(working,), tree=(False, None)),
}


async def standing(tools: Tools) -> dict[str, bool]:
    """Which stored threads there are, and whether they are archived."""
    found: dict[str, bool] = {}
    for archived in (False, True):
        page: dict[str, Any] = await tools("thread_list", archived=archived, source_kinds=_KINDS, limit=100)
        found |= {thread["id"]: archived for thread in page["data"]}
    return found
