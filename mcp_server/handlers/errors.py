"""The one table from domain errors to what the client sees.

A domain error becomes a tool error: its sentence, with the code at the end and in `_meta`. It has no structured
content: the TypeScript SDK 1.x checks structured content against the output schema even in errors, and would show its
own complaint instead of our sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from mcp_types import CallToolResult, TextContent

from mcp_server import errors
from mcp_server.errors import ThreadstoreError
from mcp_server.models.quoting import visible

ERROR_META = "threadstore/error"
"""The key in `_meta` of a tool error; its value is `{"code": ...}`."""

CODES: dict[type[ThreadstoreError], str] = {
    errors.InvalidArgument: "invalid_argument",
    errors.InvalidThreadId: "invalid_thread_id",
    errors.InvalidCursor: "invalid_cursor",
    errors.AmbiguousReference: "ambiguous_reference",
    errors.UnusableBundle: "unusable_bundle",
    errors.RequestIdReused: "request_id_reused",
    errors.ThreadNotFound: "thread_not_found",
    errors.TurnNotFound: "turn_not_found",
    errors.ArchivedThreadNotFound: "archived_thread_not_found",
    errors.ThreadArchived: "thread_archived",
    errors.NotMaterialized: "not_materialized",
    errors.EphemeralThread: "ephemeral_thread",
    errors.ThreadNotLoaded: "thread_not_loaded",
    errors.ThreadClosing: "thread_closing",
    errors.TurnInProgress: "turn_in_progress",
    errors.NoTurnInProgress: "no_turn_in_progress",
    errors.TurnsRunning: "turns_running",
    errors.PaginatedHistory: "paginated_history",
    errors.UnknownHistoryMode: "unknown_history_mode",
    errors.CompressedRollout: "compressed_rollout",
    errors.RolloutChanged: "rollout_changed",
    errors.ThreadDeleted: "thread_deleted",
    errors.ForkedHistoryInUse: "forked_history_in_use",
    errors.AttachedThreadExists: "attached_thread_exists",
    errors.ActiveWriter: "active_writer",
    errors.WouldArchiveSelf: "would_archive_self",
    errors.WouldDeleteSelf: "would_delete_self",
    errors.WouldInterruptSelf: "would_interrupt_self",
    errors.ConfirmationRequired: "confirmation_required",
    errors.RequestInProgress: "request_in_progress",
    errors.OutcomeUnknown: "outcome_unknown",
    errors.LimitReached: "limit_reached",
    errors.StoreFailure: "store_failure",
    errors.WriteFailed: "write_failed",
    errors.DamagedRollout: "damaged_rollout",
    errors.PathOutsideHome: "path_outside_home",
    errors.RolloutNameTaken: "rollout_name_taken",
    errors.NotStorable: "not_storable",
    errors.StateDamaged: "state_damaged",
}


MAX_ERROR_CHARS = 240
"""No error says more, with its code: sixty tokens."""
_WORDS_CHARS = 116


def code_of(error: ThreadstoreError) -> str:
    return CODES[type(error)]


def failure(code: str, sentence: str) -> CallToolResult:
    """The tool error that a model reads and acts on."""
    text = TextContent(type="text", text=with_code(code, sentence))
    return CallToolResult(content=[text], is_error=True, _meta={ERROR_META: {"code": code}})


def with_code(code: str, sentence: str) -> str:
    """The sentence and its code on one line, for clients that show a model only the text. Stored names in the sentence
    may hold any character, so invisible ones are escaped."""
    return f"{visible(sentence)} (code: {code})"


def domain_failure(error: ThreadstoreError) -> CallToolResult:
    return failure(code_of(error), str(error))


def failure_code(result: CallToolResult) -> str | None:
    """The code of a tool error; None if the result is no error."""
    return (result.meta or {}).get(ERROR_META, {}).get("code") if result.is_error else None


def unknown_tool(name: str, known: Sequence[str]) -> CallToolResult:
    """The tool error for a tool that this server does not offer."""
    return failure("unknown_tool", f"unknown tool {ascii(name)[:80]}; {suggestion(name, known)}")


def unexpected_error(tool: str) -> CallToolResult:
    """The tool error for an unexpected exception. Its text may hold secrets, so only the log shows it."""
    return failure("internal_error", f"{tool} failed unexpectedly; the server's log (stderr) has the cause")


def suggestion(name: str, known: Sequence[str]) -> str:
    """The nearest known name in any case, else the first known names."""
    folded = {folded_name(one): one for one in known}
    near = get_close_matches(folded_name(name), folded, n=1, cutoff=0.7)
    return f"did you mean {folded[near[0]]}?" if near else f"known are {some(known)}"


def some(words: Sequence[str]) -> str:
    """The first words, and how many more there are."""
    shown = [word for n, word in enumerate(words) if len(", ".join(words[: n + 1])) <= _WORDS_CHARS]
    more = f" and {len(words) - len(shown)} more" if len(shown) < len(words) else ""
    return ", ".join(shown) + more


def folded_name(name: str) -> str:
    """The name in a form that is equal for snake_case, camelCase and kebab-case."""
    return name.replace("_", "").replace("-", "").lower()


def unclear_answer(tool: str) -> CallToolResult:
    """The tool error if the client answered a question to a person with neither yes nor no."""
    sentence = (
        f"{tool} asked a person whether to go on, and the client's answer was neither a yes nor a no, so nothing was "
        "done; ask the user to do it from a client that can show such questions"
    )
    return failure(CODES[errors.ConfirmationRequired], sentence)
