"""The short text that a model reads beside the structured result.

What people and other agents wrote is data: a single line stands in JSON quotes, longer text in a fence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from msgspec import UNSET
from msgspec.structs import replace

from mcp_server.models import results as r
from mcp_server.models.quoting import cut_to, fenced, quoted, visible
from mcp_server.models.quoting import plain_or_quoted as word
from mcp_server.models.thread import Thread, ThreadHead
from mcp_server.models.times import rfc3339
from mcp_server.models.turn import Item, Turn
from mcp_server.models.value import Value, plain

# About 20,000 tokens. A longer text is cut and says which call shows the rest.
MAX_CHARS = 80_000


def capped(text: str, how_to_go_on: str) -> str:
    if len(text) <= MAX_CHARS:
        return text
    head = cut_to(text, MAX_CHARS).rstrip("\n")
    return f"{head}\n[cut: {len(text) - MAX_CHARS} of {len(text)} characters left out; {how_to_go_on}]"


def thread_line(thread: ThreadHead) -> str:
    facts = [thread.status.type] if thread.status.type != "notLoaded" else []
    if thread.archived:
        facts.append("archived")
    if thread.agent_nickname:
        facts.append(f"sub-agent {quoted(thread.agent_nickname)}")
    title = quoted(thread.name or thread.preview) if (thread.name or thread.preview) else "(no message yet)"
    tail = f" [{', '.join(facts)}]" if facts else ""
    return f"{thread.id}  {rfc3339(thread.updated_at * 1000)[:16]}  {title}{tail}"


def thread_block(thread: ThreadHead) -> str:
    fields = _set_fields(replace(thread, turns=[]))
    if thread.git_info is not None:
        fields["git_info"] = _set_fields(thread.git_info)
    return "\n".join(f"{name}: {_one_line(value)}" for name, value in fields.items() if name != "turns")


def _set_fields(value: Value) -> dict[str, Any]:
    """The fields that are not null."""
    return {name: field for name, field in plain(value).items() if field is not None}


def _one_line(value: Any) -> str:
    return quoted(value, 400) if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return visible(json.dumps(value, ensure_ascii=False))


def loaded(result: r.LoadedThreadResult, verb: str, detailed: bool) -> str:
    lines = [f"{verb} {thread_line(result.thread)}", f"subscription_id: {result.subscription_id}"]
    lines.append(
        f"in force: model {word(result.model or 'default')} ({word(result.model_provider)}), "
        f"cwd {quoted(result.cwd)}, approval {_json(result.approval_policy)}, "
        f"sandbox {word(str(result.sandbox['type']))}, effort {word(result.reasoning_effort or 'default')}"
    )
    if result.ignored_overrides:
        lines.append(f"ignored, the thread is running: {', '.join(result.ignored_overrides)}")
    if result.suggested_parent_thread_id:
        lines.append(
            f"You seem to run in thread {result.suggested_parent_thread_id}; pass it as parent_thread_id "
            "to record this one as its sub-agent."
        )
    if detailed:
        lines.append(thread_block(result.thread))
    lines += [turn_text(turn, detailed) for turn in result.thread.turns]
    return capped("\n".join(lines), "call thread_read with include_turns and a smaller limit")


def thread_list(result: r.ThreadListResult, detailed: bool) -> str:
    least = "at least " if result.total_is_minimum else ""
    lines = [f"{len(result.data)} of {least}{result.total} threads"]
    if result.incomplete:
        lines.append(result.incomplete)
    if result.note:
        lines.append(result.note)
    lines += [thread_block(t) + "\n" if detailed else thread_line(t) for t in result.data]
    hidden = [f"{n} {what}" for what, n in _hidden_counts(result.hidden) if n]
    if hidden:
        lines.append(f"not shown: {', '.join(hidden)}")
    return capped("\n".join(lines + _next_page(result)), "ask for a smaller limit")


def _hidden_counts(hidden: r.Hidden) -> Iterable[tuple[str, int]]:
    yield "sub-agents (source_kinds=['subAgent'])", hidden.sub_agents
    yield "archived (archived=true)", hidden.archived
    yield "attached (include_attached_threads=true)", hidden.attached
    yield "without a text of the user (include_without_preview=true)", hidden.without_preview
    yield "copies of threads' files (store_status)", hidden.duplicates
    yield "whose file is missing", hidden.file_missing
    yield "that can't be read (store_status names them)", hidden.unreadable


def _next_page(page: r.Page) -> list[str]:
    return [f"more: cursor={page.next_cursor}"] if page.next_cursor else []


def loaded_list(result: r.LoadedListResult) -> str:
    return "\n".join([f"{result.total} loaded", *result.data, *_next_page(result)])


def thread_read(result: r.ThreadReadResult, detailed: bool) -> str:
    lines = [thread_block(result.thread) if detailed else thread_line(result.thread)]
    if result.total is not None:
        lines.append(f"{len(result.thread.turns)} of {result.total} turns")
    lines += [turn_text(turn, detailed) for turn in result.thread.turns]
    return capped("\n".join(lines + _next_page(result)), "ask for a smaller limit, or items_view=summary")


def turn_text(turn: Turn, detailed: bool = False) -> str:
    head = f"turn {word(turn.id)} [{turn.status}]"
    if turn.error:
        head += f" error: {quoted(turn.error.message, 200)}"
    return "\n".join([head, *(item_text(item, detailed) for item in turn.items)])


def turn_started(result: r.TurnResult, detailed: bool) -> str:
    lines = [turn_text(result.turn, detailed)]
    if result.not_recorded is not UNSET:
        lines.append(f"  not recorded: {', '.join(map(quoted, result.not_recorded))}")
    return "\n".join(lines)


def item_text(item: Item, detailed: bool = False) -> str:
    text, head = item_plain_text(item), f"  {word(item.type)} {word(item.id)}"
    if not text:
        return head
    return f"{head}:\n{fenced(text)}" if detailed else f"{head}: {quoted(text, 300)}"


def item_plain_text(item: Item) -> str:
    """The text of an item, without markup."""
    match item.type:
        case "userMessage":
            return "\n".join(_part(part) for part in _parts(item.get("content")))
        case "agentMessage" | "plan":
            return str(item.get("text", ""))
        case "reasoning":
            return "\n".join([*item.get("summary", []), *item.get("content", [])])
        case "commandExecution":
            return f"$ {item.get('command', '')}\n{item.get('aggregated_output') or ''}".rstrip()
        case "dynamicToolCall":
            call = f"{item.get('tool', '')}({json.dumps(item.get('arguments'), ensure_ascii=False)})"
            return "\n".join([call, *(_part(part) for part in _parts(item.get("content_items")))])
        case _:
            return json.dumps(item.fields, ensure_ascii=False) if item.fields else ""


def _parts(value: Any) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", value) if isinstance(value, list) else []


def _part(part: dict[str, Any]) -> str:
    if "text" in part:
        return str(part["text"])
    place = next((str(part[name]) for name in ("path", "url", "image_url", "name") if part.get(name)), "")
    return f"[{part.get('type', 'part')}: {place[:80]}]"


def items(result: r.ItemsResult, detailed: bool) -> str:
    lines = [f"{len(result.data)} of {result.total} items of thread {result.thread_id}"]
    for entry in result.data:
        lines.append(item_text(entry.item, detailed))
        lines += [
            f"    cut: {word(field)} has {length} characters; call thread_items with item_id={word(entry.item.id)} "
            "and text_offset for the rest"
            for field, length in entry.truncated.items()
        ]
    return capped("\n".join(lines + _next_page(result)), "ask for a smaller limit or max_chars")


def search(result: r.SearchResult) -> str:
    count = str(result.total) if result.total is not None else f"first {len(result.data)}"
    lines = [f"{count} matches"]
    for hit in result.data:
        place = f"turn {word(hit.turn_id)} item {word(hit.item_id or '')}" if hit.turn_id else "name, or between turns"
        lines.append(f"{thread_line(hit.thread)}\n  {place}: {quoted(hit.snippet, 240)}")
    lines += [f"not searched: {visible(reason)}" for reason in result.incomplete]
    return capped("\n".join(lines + _next_page(result)), "ask for a smaller limit")


def tree(result: r.TreeResult) -> str:
    lines = [result.tree]
    if result.next_cursor:
        lines.append(f"{len(result.nodes)} of {result.total} threads; more: cursor={result.next_cursor}")
    return capped("\n".join(lines), "ask for a smaller limit")


def cascade(verb: str, done: list[str], result: r.CascadeResult, already: list[str] | None = None) -> str:
    lines = [f"{'would be ' if result.dry_run else ''}{verb}: {len(done)}", *(f"  {i}" for i in done)]
    if already:
        lines.append(f"nothing to do for {len(already)}: {', '.join(already)}")
    if result.interrupted:
        lines.append(f"turn {'would be ' if result.dry_run else ''}interrupted in: {', '.join(result.interrupted)}")
    if result.needs:
        lines.append(f"the call itself needs {result.needs}")
    lines += [f"a copy is left as it is: {quoted(path, 400)}" for path in result.copies]
    lines += [f"passed over {failure.thread_id}: {visible(failure.reason)}" for failure in result.failed]
    if result.operation_id:
        lines.append(f"operation_id: {result.operation_id}")
    lines += codex_db_note(result.codex_db)
    return capped("\n".join(lines), "the structured result has them all")


def codex_db_note(codex_db: str | None) -> list[str]:
    """A line for a receipt whose change did not reach Codex's database."""
    return [f"{visible(codex_db)}. Codex itself does not see this change"] if codex_db else []


def events(result: r.EventsResult) -> str:
    lines = [f"{e.seq} {e.at} {e.type} {e.thread_id}" for e in result.data] or ["no event"]
    lines.append(f"after={result.last_seq}{' (more are there)' if result.more else ''}")
    return capped("\n".join(lines), "ask for a smaller limit")


def status(result: r.StatusResult) -> str:
    state_db = word(result.state_db) if result.state_db else "none (files only)"
    lines = [f"home {word(result.home)}", *map(visible, result.notes), f"state DB {state_db}"]
    lines.append(f"backfill {_json(result.backfill)}")
    lines += [f"{name}: {count}" for name, count in result.counts.items()]
    lines += [f"duplicates {quoted(line, 1_000)}" for line in result.duplicates[:20]]
    lines += [f"malformed {quoted(b.path, 300)} at byte {b.offset}: {visible(b.reason)}" for b in result.malformed[:20]]
    lines += [f"lock {lock.thread_id}: {visible(lock.holder)}" for lock in result.locks[:20]]
    if result.repaired is not None:
        lines.append(f"repair: {json.dumps(result.repaired)}")
    return capped("\n".join(lines), "the structured result has all of it")


def transcript(thread: Thread, turns: Iterable[Turn]) -> str:
    """A thread as markdown, with messages in fences."""
    lines = [f"# Thread {thread.id}", "", f"Title: {quoted(thread.name or thread.preview)}", ""]
    for turn in turns:
        lines += [f"## Turn {word(turn.id)} ({turn.status})", ""]
        for item in turn.items:
            lines += [f"**{word(item.type)}** `{word(item.id)}`", "", fenced(item_plain_text(item)), ""]
    return capped("\n".join(lines), "read thread://{id}/turns with a cursor, or call thread_items")
