"""A tree of threads as the page asks for it: the facts of the page's own answers, in parts.

First what is known of the export, then for each thread its turns one by one and after them the thread, last the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from msgspec import UNSET, UnsetType, structs

from mcp_server.models.facts import facts
from mcp_server.models.heading import short_title
from mcp_server.models.results import OutlineEntry, ThreadTokens, TreeNode, TreeResult
from mcp_server.models.thread import StoredThread, Thread, last_turn
from mcp_server.models.tokens import TokenUsage
from mcp_server.models.turn import Turn
from mcp_server.models.value import Json, Value
from mcp_server.threads.outline import outline_of

Told = Iterable[tuple[Turn, TokenUsage | None]]
Part = tuple[str, Json]


class ExportedThread(Value):
    """A thread beside its turns. `outline`: what the user has said in each of these."""

    thread: Thread
    tokens: ThreadTokens | UnsetType = UNSET
    outline: list[OutlineEntry]


def page_data(
    made: Json,
    threads: Sequence[StoredThread],
    turns_of: Callable[[StoredThread], Told],
    whole: Callable[[StoredThread, list[OutlineEntry]], ExportedThread],
    tree: Callable[[], TreeResult],
) -> Generator[Part]:
    """The parts by name. The first thread is the root; `whole` makes the last part of each. The `tree` is looked at
    after them: it counts what was read."""
    yield "export", made
    for thread in threads:
        outline, count, newest = list[OutlineEntry](), 0, None
        for newest, tokens in turns_of(thread):
            count += 1
            outline += outline_of(newest)
            yield "turn", _facts(structs.replace(newest, tokens=tokens or UNSET))
        yield "thread", _facts(whole(_as_exported(thread, count, newest), outline))
    yield "tree", {"nodes": _facts(_nodes(tree().nodes, threads))}


def _facts(value: Any) -> Any:
    return facts(value, detailed=True)


def _as_exported(thread: StoredThread, turns: int, newest: Turn | None) -> StoredThread:
    """The thread with what its turns tell of it in the export."""
    ended = newest and last_turn(newest.status, newest.error and newest.error.message, None)
    return structs.replace(thread, turn_count=turns, last_turn=ended)


def _nodes(nodes: Sequence[TreeNode], threads: Sequence[StoredThread]) -> list[TreeNode]:
    """The nodes from the root of the export downwards, in the order of the picture."""
    exported = {thread.id: thread for thread in threads}
    ids = [node.thread_id for node in nodes]
    root, *below = nodes[ids.index(threads[0].id) :]
    top = structs.replace(root, parent_thread_id=None, edge=None)
    return [_node(node, node.depth - root.depth, exported.get(node.thread_id)) for node in (top, *below)]


def _node(node: TreeNode, depth: int, thread: StoredThread | None) -> TreeNode:
    """A node as the export shows it: what still ran has no end there, and what was left out has no name."""
    node = structs.replace(node, depth=depth, running_in=UNSET)
    if thread is None:
        return structs.replace(node, status="missing", title="(left out)", nickname=None, role=None)
    return structs.replace(
        node,
        status="notLoaded",
        last_turn="interrupted" if node.last_turn in ("running", "crashed") else node.last_turn,
        title=short_title(thread),
        nickname=thread.agent_nickname,
        role=thread.agent_role,
    )
