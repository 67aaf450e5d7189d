"""Cases that load and change: resume, fork, archive, turns. Each side changes its own home."""

from __future__ import annotations

from typing import Any, Literal

import anyio.to_thread

from tests.benchmarks.lab import Case, Lab
from tests.benchmarks.measure import Target, faster, within
from tests.benchmarks.table import CASES, HUNDRED, RESUMES, Sides, Stopwatch, bare, case, check

Way = Literal["archive", "unarchive"]


async def prepare_turns(lab: Lab) -> None:
    """One thread with a running turn, and one that gets its turns from the cases."""
    for name in ("running", "resting"):
        thread = (await lab.ours.call("thread_start"))["thread"]
        lab.memo[name] = thread["id"]
        await lab.ours.call("turn_start", thread_id=thread["id"], input="begin")
    await lab.ours.call("turn_complete", thread_id=lab.memo["resting"])


# ---------------------------------------------------------------------------------------------- loading


def resume_case(name: str, first: int, *targets: Target, **codex_options: Any) -> None:
    """Each round resumes a thread that no round before had loaded, as long as there is one."""

    def operations(lab: Lab, number: int) -> Sides:
        thread_id = lab.ours_home.long[first + number % (RESUMES + 1)]

        async def ours() -> float:
            watch = Stopwatch()
            await lab.ours.call("thread_resume", thread_id=thread_id)
            took = watch.ms()
            await lab.ours.call("thread_unsubscribe", thread_id=thread_id)
            return took

        async def codex() -> float:
            watch = Stopwatch()
            await lab.codex.request("thread/resume", threadId=thread_id, **codex_options)
            took = watch.ms()
            await lab.codex.request("thread/unsubscribe", threadId=thread_id)
            return took

        return {"ours": ours, "bare": bare(lab), "codex": codex}

    CASES.append(Case(name, operations, targets, rounds=RESUMES, pause=0.2))


resume_case("thread_resume of a long thread", 0, faster("codex", 100))
resume_case("thread_resume of a long thread (Codex: excludeTurns)", RESUMES + 1, excludeTurns=True)


@case("thread_resume of a huge thread", home="large", rounds=1, pause=0.5)
def resume_huge(lab: Lab, number: int) -> Sides:
    return {
        "ours": lambda: check(lab.ours.call("thread_resume", thread_id=lab.huge)),
        "bare": bare(lab),
        "codex": lambda: check(lab.codex.request("thread/resume", threadId=lab.huge)),
    }


@case("thread_fork of a long thread", rounds=RESUMES, pause=0.2)
def fork(lab: Lab, number: int) -> Sides:
    thread_id = lab.ours_home.long[-1]

    async def ours() -> float:
        watch = Stopwatch()
        forked = await lab.ours.call("thread_fork", thread_id=thread_id)
        took = watch.ms()
        await lab.ours.call("thread_unsubscribe", subscription_id=forked["subscription_id"])
        return took

    return {
        "ours": ours,
        "bare": bare(lab),
        "codex": lambda: check(lab.codex.request("thread/fork", threadId=thread_id, excludeTurns=True)),
    }


# ---------------------------------------------------------------------------------------------- archive


@case("thread_archive, one", faster("codex", 20, at=HUNDRED), rounds=10, pause=0.2)
def archive_one(lab: Lab, number: int) -> Sides:
    threads = lab.ours_home.threads
    thread_id = threads[(len(threads) // 2 + 1 + number) % len(threads)]  # a list looks for the one in the middle
    return {
        "ours": lambda: check(lab.ours.call("thread_archive", thread_id=thread_id), 1, "archived"),
        "bare": bare(lab),
        "codex": lambda: check(lab.codex.request("thread/archive", threadId=thread_id)),
    }


def tree_case(timed: Way, name: str) -> None:
    """A cascade over the whole tree, and back; one way is timed."""
    ways: tuple[Way, Way] = ("archive", "unarchive")

    def operations(lab: Lab, number: int) -> Sides:
        tree = lab.ours_home.tree

        async def ours() -> float:
            took: dict[Way, float] = {}
            for way in ways:
                watch = Stopwatch()
                await check(lab.ours.call(f"thread_{way}", thread_id=tree[0]), len(tree), f"{way}d")
                took[way] = watch.ms()
            return took[timed]

        async def codex() -> float:
            took: dict[Way, float] = {}
            for way in ways:
                before = lab.codex.count(f"thread/{way}d")
                watch = Stopwatch()
                await lab.codex.request(f"thread/{way}", threadId=tree[0])
                took[way] = watch.ms()
                await lab.codex.noted(f"thread/{way}d", before + len(tree))
            return took[timed]

        return {"ours": ours, "bare": bare(lab), "codex": codex}

    CASES.append(Case(name, operations, (faster("codex", 15),), rounds=3, pause=0.5))


tree_case("archive", "thread_archive, a tree")
tree_case("unarchive", "thread_unarchive, a tree")


# ---------------------------------------------------------------------------------------------- writing


@case("turn_append, durable", within(2))
def append(lab: Lab, number: int) -> Sides:
    """The floor is the bare call and one write with its fsync."""

    async def floor() -> None:
        await lab.bare.call("nothing")
        await anyio.to_thread.run_sync(lab.durable_write)

    items = [{"type": "agentMessage", "text": "done " * 100}]
    return {
        "ours": lambda: check(lab.ours.call("turn_append", thread_id=lab.memo["running"], items=items), 1, "item_ids"),
        "bare": floor,
    }


def turn_case(timed: str) -> None:
    """A turn is begun and completed; one of the two is timed."""

    def operations(lab: Lab, number: int) -> Sides:
        thread_id = lab.memo["resting"]

        async def ours() -> float:
            took: dict[str, float] = {}
            for tool, arguments in (("turn_start", {"input": "go on"}), ("turn_complete", {"message": "done"})):
                watch = Stopwatch()
                await lab.ours.call(tool, thread_id=thread_id, **arguments)
                took[tool] = watch.ms()
            return took[timed]

        return {"ours": ours, "bare": bare(lab)}

    CASES.append(Case(timed, operations))


turn_case("turn_start")
turn_case("turn_complete")


@case("thread_start")
def start(lab: Lab, number: int) -> Sides:
    async def ours() -> float:
        watch = Stopwatch()
        started = await lab.ours.call("thread_start")
        took = watch.ms()
        await lab.ours.call("thread_unsubscribe", subscription_id=started["subscription_id"])
        return took

    return {"ours": ours, "bare": bare(lab), "codex": lambda: check(lab.codex.request("thread/start"))}


@case("thread_update")
def set_name(lab: Lab, number: int) -> Sides:
    thread_id, name = lab.ours_home.threads[0], f"name {number}"
    return {
        "ours": lambda: check(lab.ours.call("thread_update", thread_id=thread_id, name=name)),
        "bare": bare(lab),
        "codex": lambda: check(lab.codex.request("thread/name/set", threadId=thread_id, name=name)),
    }
