"""What a prompt brings with it, as blocks of Markdown. The whole stands in one fence, since threads have written it; in
it, what they wrote stands in quotes or behind `>`, so that none of it looks like a line of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UnsetType

from mcp_server.models.counting import counted
from mcp_server.models.heading import title_of
from mcp_server.models.quoting import cut_to, fenced, quoted
from mcp_server.models.results import BriefResult, NoMatch, SearchResult, SearchRow, StatsRow
from mcp_server.models.thread import Thread
from mcp_server.models.times import rfc3339
from mcp_server.threads.digests import Found, Review, Running, Unattended

MOST_CHARS = 10_000
"""No prompt is longer. Hosts take one as a message of the user."""
_END_TAG = 20


def prompt_text(ask: str, blocks: Sequence[str]) -> str:
    """What is asked, and the first blocks of what was found, as many as there is room for."""
    for count in range(len(blocks), 0, -1):
        text = _text(ask, blocks[:count], len(blocks) - count)
        if len(text) <= MOST_CHARS:
            return text
    return cut_to(_text(ask, blocks[:1], len(blocks) - 1), MOST_CHARS - _END_TAG) if blocks else ask


def _text(ask: str, blocks: Sequence[str], left: int) -> str:
    told = f"\n\n({counted(left, 'more entry is', 'more entries are')} left out.)" if left else ""
    return f"{ask}{told}\n\n{fenced(chr(10).join(blocks))}"


def quoted_lines(text: str) -> str:
    """Text of several lines, each behind `>`."""
    return "\n".join(f"> {line}".rstrip() for line in text.strip().split("\n"))


def at(seconds: int) -> str:
    return f"{rfc3339(seconds * 1000)[:16]}Z"


# ---------------------------------------------------------------------------------------------- threads


def thread_row(thread: Thread) -> str:
    """A thread on one line: what it is called, where and when it was worked on, how it stands."""
    branch = f" on {quoted(thread.git_info.branch, 60)}" if thread.git_info and thread.git_info.branch else ""
    facts = [
        f"- {quoted(title_of(thread), 100)}",
        f"{quoted(thread.cwd, 120)}{branch}",
        at(thread.recency_at),
        *([f"sub-agent of {thread.parent_thread_id}"] if thread.parent_thread_id else []),
        *([counted(thread.turn_count, "turn")] if thread.turn_count else []),
        *([standing] if (standing := _standing(thread)) else []),
        f"id {thread.id}",
    ]
    return " · ".join(facts)


def _standing(thread: Thread) -> str:
    """How the last turn of a thread stands, if it has not completed."""
    if thread.running_in:
        return f"open in {thread.running_in}"
    if not thread.last_turn or thread.last_turn == "completed":
        return ""
    return f"{thread.last_turn}: {quoted(thread.last_error, 150)}" if thread.last_error else thread.last_turn


# ---------------------------------------------------------------------------------------------- one thread


def brief_blocks(brief: BriefResult) -> list[str]:
    """A hand-over, part by part."""
    return [part for part in _brief_parts(brief) if part]


def _brief_parts(brief: BriefResult) -> Iterator[str]:
    state = brief.state
    error = f", {quoted(state.error, 300)}" if state.error else ""
    yield f"# {quoted(brief.name or brief.goal, 120)}"
    yield f"id {brief.thread_id}"
    yield f"folder {quoted(brief.cwd, 300)}" if brief.cwd else ""
    yield f"branch {quoted(brief.branch)}" if brief.branch else ""
    yield f"tags {', '.join(map(quoted, brief.tags))}" if brief.tags else ""
    turns = counted(state.turns, "turn")
    yield f"last worked on {state.worked_on}, {turns}, the last one {state.last_turn or 'unknown'}{error}"
    yield f"open in {quoted(state.held_by)}" if state.held_by else ""
    yield "archived" if state.archived else ""
    yield f"\n## Goal\n{quoted_lines(brief.goal)}" if brief.goal else ""
    yield _list("Open points", brief.open_points)
    yield _list("Decisions", brief.decisions)
    yield from _turns(brief)
    yield _list("Files changed", brief.files)
    yield _list("Failures", [f"{one.what}: {one.error}" for one in brief.failures or ()])
    yield _agents(brief)
    yield _left_out(brief)


def _list(heading: str, entries: Sequence[str] | UnsetType) -> str:
    return "\n".join([f"\n## {heading}", *(f"- {quoted(one, 400)}" for one in entries)]) if entries else ""


def _turns(brief: BriefResult) -> Iterator[str]:
    if brief.answers:
        yield "\n## Last turns, the newest first"
    for one in brief.answers or ():
        status = f" ({one.status})" if one.status else ""
        yield f"### {one.at or 'at an unknown time'}{status}"
        yield f"asked:\n{quoted_lines(one.asked)}" if one.asked else ""
        yield f"answered:\n{quoted_lines(one.answer)}" if one.answer else ""


def _agents(brief: BriefResult) -> str:
    told = [
        f"- {quoted(one.name)} · {one.status or 'completed'} · id {one.thread_id}"
        + (f" · {quoted(one.answer, 200)}" if one.answer else "")
        for one in brief.sub_agents or ()
    ]
    return "\n".join(["\n## Sub-agents", *told]) if told else ""


def _left_out(brief: BriefResult) -> str:
    told = ", ".join(f"{name.replace('_', ' ')} ({count})" for name, count in (brief.more or {}).items())
    return f"\nmore of each, not shown: {told}" if told else ""


def found_blocks(found: Found) -> list[str]:
    """The thread that was found, and those that may be meant as well; or what may help to find one."""
    if found.brief is None:
        return _nothing(found.nothing) if found.nothing else []
    others = [_other(row) for row in found.others]
    return [*brief_blocks(found.brief), *(["\n# Other threads that fit", *others] if others else [])]


def _other(row: SearchRow) -> str:
    passages = [f"  {quoted(passage.text, 200)}" for passage in row.passages[:1]]
    return "\n".join([thread_row(row.thread), *passages])


def _nothing(result: SearchResult) -> list[str]:
    told = _words(result.no_match) if result.no_match else []
    return [*told, *(f"not searched: {quoted(reason, 300)}" for reason in result.incomplete)] or ["nothing"]


def _words(none: NoMatch) -> list[str]:
    words = [
        f"{quoted(one.word)} is in {counted(one.threads, 'thread')}"
        + (f"; near it: {', '.join(map(quoted, one.nearest))}" if one.nearest else "")
        for one in none.words
    ]
    elsewhere = [
        f"{counted(count, 'thread fits', 'threads fit')} among {where}"
        for where, count in (none.elsewhere or {}).items()
    ]
    return [*words, *elsewhere]


# ---------------------------------------------------------------------------------------------- many threads


def review_blocks(review: Review) -> list[str]:
    counts, blocks = review.counts, ["# Counts"]
    blocks.append(
        "\n".join([_figures("all", counts.total), *(_figures(quoted(row.key or ""), row) for row in counts.data)])
    )
    blocks += [f"not counted: {quoted(note, 300)}" for note in counts.incomplete or ()]
    blocks.append("\n# Threads, those worked on last first")
    for done in review.work:
        failed = f", {done.failed} failed" if done.failed else ""
        turns = counted(done.turns, "turn")
        lines = [thread_row(done.thread), f"  {turns} then{failed}, the last one {done.last.status}"]
        lines += [f"  asked last: {quoted(done.asked, 200)}"] if done.asked else []
        lines += [f"  answered: {quoted(done.answer, 300)}"] if done.answer else []
        lines += [f"  error: {quoted(done.last.error.message, 200)}"] if done.last.error else []
        blocks.append("\n".join(lines))
    return [*blocks, *([f"and {counted(review.more, 'thread')} more"] if review.more else [])]


def _figures(key: str, row: StatsRow) -> str:
    parts = [counted(row.threads, "thread"), counted(row.turns, "turn")]
    parts += [f"{row.failed} failed"] if row.failed else []
    parts += [f"{row.interrupted} interrupted"] if row.interrupted else []
    parts += [f"{row.tokens.input} tokens in, {row.tokens.output} out"] if row.tokens else []
    return f"- {key}: {', '.join(parts)}"


def running_blocks(running: Running) -> list[str]:
    blocks = [_at_work(thread, running.briefs.get(thread.id)) for thread in running.threads]
    return [*blocks, *([f"and {counted(running.more, 'thread')} more"] if running.more else [])]


def _at_work(thread: Thread, brief: BriefResult | None) -> str:
    lines = [thread_row(thread)]
    last = brief.answers[0] if brief and brief.answers else None
    if last and last.asked:
        lines.append(f"  asked last: {quoted(last.asked, 300)}")
    if last and last.answer:
        lines.append(f"  said last: {quoted(last.answer, 300)}")
    if brief and brief.open_points:
        lines.append(f"  open: {'; '.join(quoted(one, 120) for one in brief.open_points[:4])}")
    if brief and brief.files:
        lines.append(f"  files changed: {', '.join(quoted(one, 120) for one in brief.files[:5])}")
    return "\n".join(lines)


def unattended_blocks(old: Unattended) -> list[str]:
    return [*map(thread_row, old.threads), *([f"and {counted(old.more, 'thread')} more"] if old.more else [])]
