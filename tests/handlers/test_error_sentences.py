"""Every error names the value, the reason and the way out, in so few words that a model reads them all."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from mcp_types import TextContent

from mcp_server import errors
from mcp_server.errors import ThreadstoreError
from mcp_server.handlers.errors import CODES, MAX_ERROR_CHARS, domain_failure

ONE, TWO, THREE, FOUR = (f"01a20564-1f3{n}-7c2d-9e4f-0123456789ab" for n in range(4))
LONG = "a value that somebody pasted by mistake " * 20
PATH = f"sessions/2026/11/22/rollout-2026-11-22T10-00-00-{ONE}.jsonl"
AT = "2026-11-22T10:00:00.123Z"
UNCONFIRMED: list[dict[str, Any]] = [
    *({}, {"given": [LONG]}, {"given": [LONG, TWO]}, {"declined": True}, {"added": [ONE, TWO, THREE, FOUR]}),
]

EACH: list[ThreadstoreError] = [
    errors.InvalidArgument(
        "sort_direction", LONG, "no thread has such a one at the moment", "pass one of asc and desc"
    ),
    errors.InvalidThreadId(LONG, "is too short for the beginning of an id"),
    errors.InvalidCursor(LONG),
    errors.AmbiguousReference(LONG, [ONE, TWO, THREE, FOUR]),
    errors.UnusableBundle(LONG, "pass a file that threadstore export has made"),
    errors.RequestIdReused(LONG, "thread_unsubscribe"),
    errors.ThreadNotFound(LONG),
    errors.ThreadNotFound(LONG, ["the auth race condition in the login service, again", LONG, LONG, LONG]),
    errors.TurnNotFound(LONG, ONE),
    errors.ArchivedThreadNotFound(ONE),
    errors.ThreadArchived(ONE),
    errors.NotMaterialized(ONE, "include_turns"),
    errors.NotMaterialized(ONE, "archive"),
    errors.EphemeralThread(ONE, "include_turns"),
    errors.EphemeralThread(ONE, "archive"),
    errors.ThreadNotLoaded(ONE),
    errors.ThreadClosing(ONE),
    errors.TurnInProgress(ONE, TWO),
    errors.NoTurnInProgress(ONE),
    errors.TurnsRunning([ONE, TWO, THREE, FOUR]),
    errors.PaginatedHistory(ONE, "Codex's database is read-only here"),
    errors.UnknownHistoryMode(ONE, LONG),
    errors.CompressedRollout(ONE),
    errors.RolloutChanged(PATH, 123_456_789, 123_456_999),
    errors.ThreadDeleted(ONE),
    errors.ForkedHistoryInUse(ONE, [ONE, TWO, THREE, FOUR]),
    errors.AttachedThreadExists(ONE, TWO),
    errors.ActiveWriter(ONE, "process 12345 (codex app-server --listen) since 2026-11-22T10:00:00Z"),
    errors.WouldArchiveSelf(ONE, ONE),
    errors.WouldDeleteSelf(ONE, TWO),
    errors.WouldInterruptSelf(ONE, TWO),
    *(errors.ConfirmationRequired(ids, **given) for ids in ([ONE], [ONE, TWO, THREE]) for given in UNCONFIRMED),
    errors.RequestInProgress(LONG, "thread_unsubscribe", AT),
    errors.OutcomeUnknown(LONG, "thread_unsubscribe", AT, f"thread_read {ONE} shows it"),
    errors.LimitReached("too many calls wait for events", 256, "read without wait_seconds, or wait again later"),
    errors.StoreFailure("the files of this home can't be read now; repeat the call later"),
    errors.WriteFailed(PATH, "[Errno 28] No space left on device"),
    errors.DamagedRollout(PATH, "has no session metadata", 123_456_789),
    errors.PathOutsideHome(PATH, "sessions"),
    errors.RolloutNameTaken(PATH),
    errors.NotStorable("Python int too large to convert to SQLite INTEGER"),
    errors.StateDamaged("/home/somebody/.codex/threadstore.sqlite", "database disk image is malformed"),
]


def test_each_kind_of_error_is_among_the_examples() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ThreadstoreError)}
    raised = {kind for kind in kinds if kind in CODES}
    assert raised == {type(error) for error in EACH}


@pytest.mark.parametrize("error", EACH, ids=lambda error: type(error).__name__)
def test_an_error_takes_sixty_tokens_at_most(error: ThreadstoreError) -> None:
    (text,) = domain_failure(error).content
    assert isinstance(text, TextContent)
    assert len(text.text) <= MAX_ERROR_CHARS, text.text


@pytest.mark.parametrize("error", EACH, ids=lambda error: type(error).__name__)
def test_an_error_says_file_where_codex_says_rollout(error: ThreadstoreError) -> None:
    assert not re.search(r"\brollouts?\b(?!-\d)", str(error)), str(error)


@pytest.mark.parametrize("error", EACH, ids=lambda error: type(error).__name__)
def test_an_error_names_its_value_and_a_way_out(error: ThreadstoreError) -> None:
    given: dict[str, Any] = {name: getattr(error, name, None) for name in _parameters(error)}
    named = [str(part)[:13] for value in given.values() for part in _each(value)]
    assert type(error) is errors.StoreFailure or any(name in str(error) for name in named), str(error)
    assert any(mark in str(error) for mark in ("; ", ". ", ": ")), str(error)


def _each(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _parameters(error: ThreadstoreError) -> list[str]:
    return [name for name in inspect.signature(type(error).__init__).parameters if name != "self"]
