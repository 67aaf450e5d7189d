"""All errors that a verb can raise, as a tree.

ThreadstoreError
├── InvalidRequest              what the caller sent can't be acted on
│   ├── InvalidArgument
│   ├── InvalidThreadId
│   ├── InvalidCursor
│   ├── AmbiguousReference
│   ├── UnusableBundle
│   └── RequestIdReused
├── NotFound
│   ├── ThreadNotFound
│   ├── TurnNotFound
│   └── ArchivedThreadNotFound
├── WrongState                  the thread is there, but not in a state that allows the verb
│   ├── ThreadArchived
│   ├── NotMaterialized
│   ├── EphemeralThread
│   ├── ThreadNotLoaded
│   ├── ThreadClosing
│   ├── TurnInProgress
│   ├── NoTurnInProgress
│   ├── TurnsRunning
│   ├── PaginatedHistory
│   ├── UnknownHistoryMode
│   ├── CompressedRollout
│   ├── RolloutChanged
│   ├── ThreadDeleted
│   ├── ForkedHistoryInUse
│   └── AttachedThreadExists
├── ActiveWriter                another process holds the thread
├── SelfHarm                    an agent acts on its own thread or an ancestor
│   ├── WouldArchiveSelf
│   ├── WouldDeleteSelf
│   └── WouldInterruptSelf
├── ConfirmationRequired
├── RequestInProgress           the first call with a request_id is still being done
├── OutcomeUnknown              nobody knows whether the first call was done
├── LimitReached                a bound that protects the server
└── StoreFailure                the file system or the data is at fault
    ├── WriteFailed
    ├── DamagedRollout
    ├── PathOutsideHome
    ├── RolloutNameTaken
    ├── NotStorable
    └── StateDamaged

Each has typed fields and builds its own sentence: the value, the reason, the way out. Where Codex has a message for
the case, the sentence starts with Codex's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAME_CHARS = 40
_WORD = re.compile(r"[\w.:@/\\+~=#$-]{1,300}")
_GONE = "is gone"


class ThreadstoreError(Exception):
    """Base of all domain errors. `str(error)` is the sentence a model can act on."""


class InvalidRequest(ThreadstoreError):
    """The request itself is at fault; the same call can never succeed."""


class InvalidArgument(InvalidRequest):
    def __init__(self, name: str, value: object, reason: str, way_out: str) -> None:
        self.name, self.value, self.reason, self.way_out = name, value, reason, way_out
        super().__init__(f"invalid {name} {_shown(value)}: {reason}; {way_out}")


class InvalidThreadId(InvalidRequest):
    def __init__(self, value: str, reason: str) -> None:
        self.value, self.reason = value, reason
        super().__init__(
            f"invalid thread id: {_shown(value)} {reason}; pass an id, 8 or more characters of its beginning, or a "
            "name, as thread_list shows them"
        )


class InvalidCursor(InvalidRequest):
    def __init__(self, value: str, reason: str = "this server did not issue it") -> None:
        self.value, self.reason = value, reason
        super().__init__(
            f"invalid cursor: {_named(value)} ({reason}); pass next_cursor of an earlier answer unchanged, or none to "
            "start from the beginning"
        )


class AmbiguousReference(InvalidRequest):
    def __init__(self, reference: str, candidates: Sequence[str]) -> None:
        self.reference, self.candidates = reference, tuple(candidates)
        super().__init__(
            f"ambiguous thread reference {_shown(reference)}: it matches {_some(self.candidates)}; "
            "call again with one of these"
        )


class UnusableBundle(InvalidRequest):
    def __init__(self, reason: str, way_out: str) -> None:
        self.reason, self.way_out = reason, way_out
        super().__init__(f"the bundle was not imported: {_clip(reason, 130)}; {way_out}")


class RequestIdReused(InvalidRequest):
    def __init__(self, request_id: str, tool: str) -> None:
        self.request_id, self.tool = request_id, tool
        super().__init__(
            f"request_id {_shown(request_id)} was used before for another call (of {tool}); repeat that one unchanged, "
            "or choose a new request_id"
        )


class NotFound(ThreadstoreError):
    """No such thing in this home."""


class ThreadNotFound(NotFound):
    """`alike` are names of threads that may have been meant."""

    def __init__(self, reference: str, alike: Sequence[str] = ()) -> None:
        self.reference, self.alike = reference, tuple(alike)
        meant = (
            f"; like it: {', '.join(_shown(name[:_NAME_CHARS], _NAME_CHARS) for name in self.alike[:2])}"
            if alike
            else ""
        )
        search = "thread_list" if alike else "thread_list (archived=true for archived ones)"
        reason = "" if alike else ": none has that id, beginning of an id or name"
        super().__init__(f"no thread found for {_named(reference)}{reason}{meant}; look it up with {search}")


class ArchivedThreadNotFound(NotFound):
    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(
            f"no archived thread found for {thread_id}: it is not archived; "
            "thread_list with archived=true shows what is"
        )


class TurnNotFound(NotFound):
    def __init__(self, turn_id: str, thread_id: str) -> None:
        self.turn_id, self.thread_id = turn_id, thread_id
        super().__init__(
            f"turn not found: {_named(turn_id)} is not a turn of thread {thread_id}; thread_read shows their ids"
        )


class WrongState(ThreadstoreError):
    """The thread exists, but its state does not allow the verb."""


class ThreadArchived(WrongState):
    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"session {thread_id} is archived. Call thread_unarchive with this id first, then repeat.")


class NotMaterialized(WrongState):
    def __init__(self, thread_id: str, verb: str) -> None:
        self.thread_id, self.verb = thread_id, verb
        lead = (
            f"thread {thread_id} is not materialized yet; include_turns is unavailable before first user message"
            if verb == "include_turns"
            else f"thread {thread_id} has no file yet: it is started, but has no message"
        )
        super().__init__(f"{lead}; call turn_start with its first user message, then repeat")


class EphemeralThread(WrongState):
    def __init__(self, thread_id: str, verb: str) -> None:
        self.thread_id, self.verb = thread_id, verb
        lead = (
            "ephemeral threads do not support include_turns"
            if verb == "include_turns"
            else f"ephemeral thread does not support {verb}: {thread_id}"
        )
        super().__init__(f"{lead}; it lives in memory only and ends with its last subscriber, so fork it to keep it")


class ThreadNotLoaded(WrongState):
    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(
            f"thread not found: {thread_id} is not loaded in this server; call thread_resume with this id first"
        )


class ThreadClosing(WrongState):
    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"thread {thread_id} is closing; retry once the thread is closed")


class TurnInProgress(WrongState):
    def __init__(self, thread_id: str, turn_id: str) -> None:
        self.thread_id, self.turn_id = thread_id, turn_id
        super().__init__(
            f"thread {thread_id} has turn {turn_id} in progress, and one runs at a time; "
            "add to it with turn_append, or end it with turn_complete"
        )


class NoTurnInProgress(WrongState):
    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"thread {thread_id} has no turn in progress; open one with turn_start")


class TurnsRunning(WrongState):
    def __init__(self, thread_ids: Sequence[str]) -> None:
        self.thread_ids = tuple(thread_ids)
        super().__init__(
            f"a turn is running in {_some(self.thread_ids)}, so nothing was moved; wait for turn_complete, or call "
            "again with interrupt_running=true"
        )


class PaginatedHistory(WrongState):
    def __init__(self, thread_id: str, reason: str) -> None:
        self.thread_id, self.reason = thread_id, reason
        super().__init__(
            f"thread {thread_id} has a paginated history, of which Codex's database alone keeps git info "
            f"({_clip(reason, 60)}); set it in Codex, or on a copy by thread_fork"
        )


class UnknownHistoryMode(WrongState):
    def __init__(self, thread_id: str, mode: str) -> None:
        self.thread_id, self.mode = thread_id, mode
        super().__init__(
            f"thread {thread_id} has history mode {_shown(mode)}, which this server does not write; thread_fork it and "
            "go on in the copy"
        )


class CompressedRollout(WrongState):
    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(
            f"the file of thread {thread_id} is compressed and can't be appended to; "
            "call thread_fork with this id and go on in the copy"
        )


class RolloutChanged(WrongState):
    """A rollout is not as long as its writer left it: somebody else has written to it."""

    def __init__(self, path: str, expected: int, found: int) -> None:
        self.path, self.expected, self.found = path, expected, found
        super().__init__(
            f"`{_end_of(path)}` has {found} bytes, not {expected}: another program wrote to it, not this one; "
            "thread_unsubscribe, thread_resume and repeat"
        )


class ThreadDeleted(WrongState):
    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"thread {thread_id} was deleted; start a new one with thread_start")


class ForkedHistoryInUse(WrongState):
    def __init__(self, thread_id: str, forks: Sequence[str]) -> None:
        self.thread_id, self.forks = thread_id, tuple(forks)
        super().__init__(
            f"cannot delete thread {thread_id}: forked history still references it ({_some(self.forks)}); delete those "
            "first, or archive this thread instead"
        )


class AttachedThreadExists(WrongState):
    def __init__(self, thread_id: str, attached: str) -> None:
        self.thread_id, self.attached = thread_id, attached
        super().__init__(
            f"cannot delete thread {thread_id} while attached thread {attached} exists; delete the attached thread "
            "first, or archive this thread instead"
        )


class ActiveWriter(ThreadstoreError):
    """Another process holds the writer lock. `holder` names it as far as the system knows."""

    def __init__(self, thread_id: str, holder: str) -> None:
        self.thread_id, self.holder = thread_id, holder
        super().__init__(
            f"thread {thread_id} already has an active writer: {_clip(holder, 90)}; close it there, or thread_fork it "
            "and go on in the copy"
        )


class SelfHarm(ThreadstoreError):
    """An agent may not archive, delete or interrupt its own thread or an ancestor."""

    verb = "change"

    def __init__(self, caller_id: str, target_id: str) -> None:
        self.caller_id, self.target_id = caller_id, target_id
        relation = "itself" if caller_id == target_id else f"its ancestor {target_id}"
        super().__init__(
            f"the caller, thread {caller_id}, may not {self.verb} {relation}; a person must confirm this: "
            "ask the user to do it from their own client"
        )


class WouldArchiveSelf(SelfHarm):
    verb = "archive"


class WouldDeleteSelf(SelfHarm):
    verb = "delete"


class WouldInterruptSelf(SelfHarm):
    verb = "interrupt"


class ConfirmationRequired(ThreadstoreError):
    """A deletion without consent: no id or a wrong id was confirmed, a person `declined`, or there are sub-agents that
    they were not asked about (`added`)."""

    def __init__(
        self,
        thread_ids: Sequence[str],
        given: Sequence[str] | None = None,
        *,
        declined: bool = False,
        added: Sequence[str] = (),
    ) -> None:
        self.thread_ids, self.given = tuple(thread_ids), None if given is None else tuple(given)
        self.declined, self.added = declined, tuple(added)
        which = f"{'thread' if len(thread_ids) == 1 else 'threads'} {_some(self.thread_ids)}"
        if declined:
            sentence = (
                f"a person was asked whether to delete {which} and did not say yes, so nothing was deleted; "
                "that is final: do not call again, but offer thread_archive"
            )
        elif added:
            sentence = (
                f"{which} to delete: more sub-agents now than when the deletion was agreed to "
                f"({_some(self.added)}), so nothing was deleted; call again to confirm all"
            )
        else:
            sentence = (
                f"deletion is for ever and needs a confirmation{self._not_confirmed()}; pass {self.way_out}, "
                "or use thread_archive"
            )
        super().__init__(sentence)

    def _not_confirmed(self) -> str:
        """Why what was given confirms nothing."""
        if not self.given:
            return ""
        first, *others = self.given
        return ", and other ids were given" if others else f", and {_shown(first, 24)} is another id"

    @property
    def way_out(self) -> str:
        """The argument that confirms the deletion."""
        if len(self.thread_ids) == 1:
            return f"confirm_thread_id={self.thread_ids[0]}"
        return f"confirm_thread_ids: all {len(self.thread_ids)} full ids, of {_some(self.thread_ids)}"


class RequestInProgress(ThreadstoreError):
    def __init__(self, request_id: str, tool: str, since: str) -> None:
        self.request_id, self.tool, self.since = request_id, tool, since
        super().__init__(
            f"the first call of {tool} with request_id {_shown(request_id)} is running since {since}; repeat it later "
            "to get its result"
        )


class OutcomeUnknown(ThreadstoreError):
    def __init__(self, request_id: str, tool: str, since: str, look: str) -> None:
        self.request_id, self.tool, self.since, self.look = request_id, tool, since, look
        super().__init__(
            f"{tool} {_shown(request_id, 12)} began at {since}; its outcome is unknown, as the server ended; {look}; "
            "if not done, use a new request_id"
        )


class LimitReached(ThreadstoreError):
    def __init__(self, what: str, limit: int, way_out: str) -> None:
        self.what, self.limit, self.way_out = what, limit, way_out
        super().__init__(f"{what}: the limit is {limit}; {way_out}")


class StoreFailure(ThreadstoreError):
    """The files, the disk or the database are at fault, not the request."""


class WriteFailed(StoreFailure):
    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(
            f"could not write {_end_of(what)}: {_clip(reason, 80)}; nothing of it was kept. Make it writable or make "
            "room, then repeat the call"
        )


class DamagedRollout(StoreFailure):
    def __init__(self, path: str, reason: str, offset: int = 0) -> None:
        self.path, self.reason, self.offset = path, reason, offset
        place = f"its file {_named(path)} {reason} (byte {offset})"
        super().__init__(f"failed to read thread: {place}; store_status tells more")

    @classmethod
    def gone(cls, path: str) -> DamagedRollout:
        """No file is at the path any more: it was moved, as an archive does, or deleted."""
        return cls(path, _GONE)

    @property
    def is_gone(self) -> bool:
        return self.reason == _GONE


class PathOutsideHome(StoreFailure):
    def __init__(self, path: str, folder: str) -> None:
        self.path, self.folder = path, folder
        super().__init__(f"the path {_named(path)} must be in {folder} directory of the home; it was not touched")


class RolloutNameTaken(StoreFailure):
    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{_named(path)} exists already and was not overwritten; move it away, then repeat")


class NotStorable(StoreFailure):
    """A row can't be stored because of a value in it. Disk and database are fine."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the state DB can't store a value of a thread: {reason}; store_status names its file")


class StateDamaged(StoreFailure):
    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"the state DB {_end_of(path, 60)} is damaged: {_clip(reason, 50)}; no thread is lost. It is rebuilt from "
            "the files of the threads now, and they answer meanwhile: repeat the call"
        )


def _named(text: str) -> str:
    """The text as it is if it is one word, else in quotes."""
    return text if _WORD.fullmatch(text) else _shown(text)


def _clip(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…({len(text)})"


def _shown(value: object, limit: int = 40) -> str:
    return _clip(repr(value), limit)


def _end_of(path: str, limit: int = 90) -> str:
    return path if len(path) <= limit else f"…{path[-limit:]}"


def _some(ids: Sequence[str]) -> str:
    """One id, or the first of several, each by its beginning, and how many more there are."""
    if len(ids) == 1:
        return ids[0]
    shown = 13
    while len({one[:shown] for one in ids}) < len(set(ids)):
        shown += 1
    more = f" and {len(ids) - 2} more" if len(ids) > 2 else ""
    return ", ".join(one[:shown] for one in ids[:2]) + more
