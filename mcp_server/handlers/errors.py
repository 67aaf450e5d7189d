"""ONE table: domain error -> what the client sees.

What a smarter caller could have avoided is a tool error: its sentence, and `{"error": {"code": ...}}` in the structure.
"""

from __future__ import annotations

from mcp_types import CallToolResult, TextContent
from pydantic import ValidationError

from mcp_server import errors
from mcp_server.errors import ThreadstoreError

CODES: dict[type[ThreadstoreError], str] = {
    errors.InvalidArgument: "invalid_argument",
    errors.InvalidThreadId: "invalid_thread_id",
    errors.InvalidCursor: "invalid_cursor",
    errors.AmbiguousReference: "ambiguous_reference",
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
    errors.ThreadDeleted: "thread_deleted",
    errors.ForkedHistoryInUse: "forked_history_in_use",
    errors.ActiveWriter: "active_writer",
    errors.WouldArchiveSelf: "would_archive_self",
    errors.WouldDeleteSelf: "would_delete_self",
    errors.WouldInterruptSelf: "would_interrupt_self",
    errors.ConfirmationRequired: "confirmation_required",
    errors.LimitReached: "limit_reached",
    errors.StoreFailure: "store_failure",
    errors.WriteFailed: "write_failed",
    errors.DamagedRollout: "damaged_rollout",
    errors.PathOutsideHome: "path_outside_home",
    errors.RolloutNameTaken: "rollout_name_taken",
    errors.StateDamaged: "state_damaged",
}


def code_of(error: ThreadstoreError) -> str:
    return CODES[type(error)]


def failure(code: str, sentence: str) -> CallToolResult:
    """The tool error that a model reads and acts on."""
    return CallToolResult(
        content=[TextContent(type="text", text=sentence)],
        structured_content={"error": {"code": code, "message": sentence}},
        is_error=True,
    )


def domain_failure(error: ThreadstoreError) -> CallToolResult:
    return failure(code_of(error), str(error))


def argument_failure(tool: str, error: ValidationError) -> CallToolResult:
    """Arguments that don't fit the schema: each with its name, its value and what is expected."""
    parts: list[str] = []
    for one in error.errors(include_url=False):
        name = ".".join(str(part) for part in one["loc"]) or "arguments"
        given = "" if one["type"] == "missing" else f" (given {ascii(one['input'])[:80]})"
        parts.append(f"{name}: {one['msg']}{given}")
    sentence = f"invalid arguments for {tool}: {'; '.join(parts)}. See the input schema of {tool} and call again."
    return failure("invalid_argument", sentence)
