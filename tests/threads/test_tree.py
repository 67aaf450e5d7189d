"""The subtree walk, alone and under a cascade: each thread once, whatever the edges are."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.models.records import SpawnEdge, chain_of
from mcp_server.threads.reader import count_below
from mcp_server.threads.tree import Descendant, TreeDrawing, descendants
from tests.threads.conftest import Homes

Edges = Collection[tuple[str, str]]


def below(root: str, edges: Edges) -> list[Descendant]:
    return descendants(root, [SpawnEdge(*edge) for edge in edges])


def ids_below(root: str, edges: Edges) -> list[str]:
    return [node.thread_id for node in below(root, edges)]


def distances(root: str, edges: Edges) -> dict[str, int]:
    """How far each thread is from the root, worked out in another way than the walk does: by relaxing edges."""
    found = {root: 0}
    for _ in range(len(edges) + 1):
        for parent, child in edges:
            if parent in found:
                found[child] = min(found.get(child, len(edges) + 1), found[parent] + 1)
    return found


def test_the_walk_goes_level_by_level_and_by_id_within_a_level() -> None:
    edges = [("r", "c"), ("r", "a"), ("a", "z"), ("c", "b"), ("z", "y")]
    assert below("r", edges) == [
        Descendant("a", "r", 1),
        Descendant("c", "r", 1),
        Descendant("b", "c", 2),
        Descendant("z", "a", 2),
        Descendant("y", "z", 3),
    ]


def test_what_is_above_or_beside_the_root_is_not_walked() -> None:
    assert ids_below("a", [("r", "a"), ("r", "b"), ("b", "x"), ("a", "y")]) == ["y"]


def test_a_thread_without_children_has_none_below_it() -> None:
    assert below("r", [("other", "child")]) == []


def test_a_self_edge_is_walked_once() -> None:
    assert ids_below("r", [("r", "r"), ("r", "a"), ("a", "a")]) == ["a"]


def test_a_cycle_is_walked_once_wherever_it_is_entered() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "a")]
    assert ids_below("a", edges) == ["b", "c"]
    assert ids_below("b", edges) == ["c", "a"]


@given(st.lists(st.tuples(st.sampled_from("rabcd"), st.sampled_from("rabcd")), unique_by=lambda edge: edge[1]))
def test_as_many_are_counted_below_each_thread_as_are_walked(edges: list[tuple[str, str]]) -> None:
    counts = count_below("rab", [SpawnEdge(*edge) for edge in edges])
    assert {one: counts.get(one, 0) for one in "rab"} == {one: len(ids_below(one, edges)) for one in "rab"}


def test_a_thread_with_two_parents_belongs_to_the_one_that_is_nearer_the_root() -> None:
    nodes = below("r", [("r", "a"), ("a", "b"), ("b", "x"), ("r", "x")])
    assert Descendant("x", "r", 1) in nodes
    assert len(nodes) == 3


def test_a_chain_of_sub_agents_may_be_deeper_than_pythons_stack() -> None:
    chain = [f"{n:06}" for n in range(3_000)]
    nodes = below(chain[0], list(pairwise(chain)))
    assert [node.thread_id for node in nodes] == chain[1:]
    lines = TreeDrawing([], chain[0], [SpawnEdge(*edge) for edge in pairwise(chain)])
    assert [line.thread_id for line in lines] == chain
    assert len(lines) == 3_000


THREADS = st.sampled_from("abcdefgh")
# Edge n is (parent, child n); None leaves a thread without a parent. What comes of it may hold cycles and many trees.
FORESTS = st.lists(st.none() | st.integers(0, 6), min_size=7, max_size=7)


@given(st.lists(st.tuples(THREADS, THREADS), max_size=20))
def test_whatever_the_edges_are_each_thread_comes_once_by_distance_and_id(edges: list[tuple[str, str]]) -> None:
    nodes = below("a", edges)
    far = distances("a", edges)
    assert [node.thread_id for node in nodes] == sorted(far.keys() - {"a"}, key=lambda i: (far[i], i))
    assert all((node.parent_id, node.thread_id) in edges for node in nodes)
    assert all(node.depth == far[node.thread_id] == far[node.parent_id] + 1 for node in nodes)


# ---------------------------------------------------------------------------------------------- the picture


def drawn(*above_and_thread: str, edges: Edges) -> list[str]:
    *above, thread_id = above_and_thread
    drawing = TreeDrawing(above, thread_id, [SpawnEdge(*edge) for edge in edges])
    assert len(drawing) == len(list(drawing))
    return [line.before + line.thread_id for line in drawing]


def test_a_picture_goes_down_each_branch_before_the_next_and_shows_nothing_beside_the_ancestors() -> None:
    edges = [("r", "a"), ("a", "t"), ("r", "beside"), ("t", "y"), ("t", "x"), ("x", "z"), ("x", "w")]
    assert drawn("r", "a", "t", edges=edges) == [
        "r",
        "└─ a",
        "   └─ t",
        "      ├─ x",
        "      │  ├─ w",
        "      │  └─ z",
        "      └─ y",
    ]


def test_where_edges_form_a_cycle_a_picture_ends_before_its_second_round() -> None:
    cycle = [("a", "b"), ("b", "c"), ("c", "a")]
    assert drawn("a", edges=cycle) == ["a", "└─ b", "   └─ c"]
    assert drawn("b", "c", "a", edges=cycle) == ["b", "└─ c", "   └─ a"]
    beside = [*cycle, ("b", "x"), ("x", "y")]
    assert drawn("b", "c", "a", edges=beside) == ["b", "├─ c", "│  └─ a", "└─ x", "   └─ y"]


@given(FORESTS)
def test_a_picture_shows_each_thread_above_and_below_once_under_its_parent(parents: list[int | None]) -> None:
    edges = [SpawnEdge(str(parent), str(child)) for child, parent in enumerate(parents) if parent not in (None, child)]
    above = [edge.parent_id for edge in chain_of({edge.child_id: edge for edge in edges}, "0")]
    drawing = TreeDrawing(above[::-1], "0", edges)
    first, *others = drawing
    assert first == ("", drawing.root_id, None, 0)
    shown = {line.thread_id: line for line in (first, *others)}
    assert len(shown) == len(others) + 1 == len(drawing)
    assert shown.keys() == {"0", *above, *(node.thread_id for node in descendants("0", edges))}
    assert all(SpawnEdge(line.parent_id or "", line.thread_id) in edges for line in others)
    assert all(line.depth == shown[line.parent_id or ""].depth + 1 for line in others)


# ---------------------------------------------------------------------------------------------- the cascade


@given(FORESTS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cascade_moves_each_thread_of_a_random_tree_once_in_reverse_order_and_no_other(
    homes: Homes, parents: list[int | None]
) -> None:
    home = homes.new()
    pairs = [(parent, child) for child, parent in enumerate(parents) if parent is not None and parent != child]
    ids = home.plant(*[None] * len(parents), edges=pairs)
    far = distances(ids[0], [(ids[parent], ids[child]) for parent, child in pairs])
    walked = sorted(far.keys() - {ids[0]}, key=lambda i: (far[i], i))
    service = home.service()
    assert home.standing() == dict.fromkeys(ids, False)

    receipt = service.cascade.archive(ids[0], dry_run=False, interrupt_running=False)
    assert receipt.archived == [ids[0], *reversed(walked)] == home.told("thread/archived")
    assert home.standing() == {thread_id: thread_id in far for thread_id in ids}

    back = service.cascade.unarchive(ids[0], include="same_operation")
    assert back.unarchived == [ids[0], *walked] == home.told("thread/unarchived")
    assert home.standing() == dict.fromkeys(ids, False)

    gone = service.cascade.delete(ids[0], dry_run=False)
    assert gone.deleted == [*reversed(walked), ids[0]] == home.told("thread/deleted")
    assert home.standing() == dict.fromkeys([i for i in ids if i not in far], False)
