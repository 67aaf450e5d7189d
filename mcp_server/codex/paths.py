"""Thread ids, times and paths of rollouts, as Codex writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from mcp_server.errors import DamagedRollout, InvalidThreadId, PathOutsideHome
from mcp_server.models.times import parse_time

ACTIVE = "sessions"
ARCHIVED = "archived_sessions"
NAME_INDEX = "session_index.jsonl"
COMPRESSED = ".jsonl.zst"
DOCUMENT = ".json"
"""The TypeScript CLI of April to August 2025 kept each session as one document, directly in `sessions`."""
SUFFIXES = (".jsonl", COMPRESSED, DOCUMENT)

_HYPHENATED = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_ID = rf"{_HYPHENATED}|[0-9a-fA-F]{{32}}"
_id = re.compile(_ID)
_any_form = re.compile(rf"{_ID}|urn:uuid:(?:{_HYPHENATED})|\{{(?:{_HYPHENATED})\}}")
_name_ids = re.compile(rf"rollout-(?:.*-)?({_ID})(?:_({_ID}))?\.json(?:l(?:\.zst)?)?")
_file_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d")
_name_time = re.compile(rf"rollout-({_file_time.pattern})-.*")
_name_date = re.compile(r"rollout-(\d{4})-(\d\d)-(\d\d).*")
_date_folder = re.compile(rf"{ACTIVE}/\d{{4}}(?:/\d\d){{0,2}}")
_odd = r"\x00\\\ud800-\udfff"
_has_odd = re.compile(f"[{_odd}]").search
_part = rf"(?!\.{{1,2}}(?:/|\Z))[^/{_odd}]+"
_plain_path = re.compile(rf"({_part})(?:/{_part})+")


# ---------------------------------------------------------------------------------------------- ids and times


def parse_id(text: object) -> str | None:
    """A UUID in lower case with hyphens, None for any other value.

    It may be written in any form that Codex takes (seen on 0.171.0): with hyphens, without, and with hyphens after
    `urn:uuid:` or in braces.
    """
    if not isinstance(text, str) or _any_form.fullmatch(text) is None:
        return None
    if len(text) == len("00000000-0000-0000-0000-000000000000"):  # nearly always
        return text.lower()
    digits = text.removeprefix("urn:uuid:").strip("{}").replace("-", "").lower()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def checked_id(thread_id: str) -> str:
    """The id in its usual form, before it becomes part of a path.

    Raises:
        InvalidThreadId: not a UUID.
    """
    parsed = parse_id(thread_id)
    if parsed is None:
        raise InvalidThreadId(thread_id, "is not a UUID")
    return parsed


def id_time_ms(thread_id: str) -> int | None:
    """The Unix milliseconds in a UUIDv7, None for another version."""
    digits = thread_id.replace("-", "")
    return int(digits[:12], 16) if digits[12] == "7" else None


def recorded_time_ms(text: str) -> int | None:
    """Unix milliseconds of a time in a rollout, None for any other text. It has the form of RFC 3339, or that of file
    names, which Codex reads as UTC."""
    if _file_time.fullmatch(text):
        text = f"{text[:10]}T{text[11:].replace('-', ':')}"
    return parse_time(text)


# ---------------------------------------------------------------------------------------------- rollout paths


def is_rollout(name: str) -> bool:
    return name.startswith("rollout-") and name.endswith(SUFFIXES)


def is_text(path: str) -> bool:
    """Whether a rollout is plain text, neither compressed nor a document."""
    return not path.endswith((COMPRESSED, DOCUMENT))


def uncompressed(path: str) -> str:
    """The path without the suffix of a compressed rollout; any other path unchanged."""
    return path.removesuffix(".zst") if path.endswith(COMPRESSED) else path


def is_plain(path: str) -> bool:
    """Whether a path, or a name, can be stored and shown: it has no backslash and no null character, and is UTF-8 on
    disk (Python reads other bytes as lone surrogates)."""
    return _has_odd(path) is None


def is_archived(path: str) -> bool:
    return path.startswith(f"{ARCHIVED}/")


def thread_id_of(name: str) -> str | None:
    """The thread id in a rollout's name, found as Codex does: the name ends in a UUID, or, if the thread was reverted,
    in two with a `_` between them."""
    match = _name_ids.fullmatch(name)
    return parse_id(match[1]) if match else None


def id_in(name: str) -> str | None:
    """The thread id in a rollout's name, even if a suffix follows it, such as sync tools add."""
    if (thread_id := thread_id_of(name)) is not None:
        return thread_id
    match = _id.search(name)
    return parse_id(match[0]) if match else None


def rollout_id_of(path: str) -> str | None:
    """The id of one rollout of a thread, by which others borrow from it (`history_base`). None if the name has none.

    The first rollout of a thread has the id of the thread. Each revert begins another, named
    `rollout-<time>-<thread>_<rollout>.jsonl`, and leaves the old one where it is (thread/revert, Codex 0.169).
    """
    match = _name_ids.fullmatch(path[path.rfind("/") + 1 :])
    return parse_id(match[2] or match[1]) if match else None


def revert_order(path: str) -> str:
    """A key that sorts the rollouts of one thread, the current one last: "" for the first, then the UUIDv7 of the
    revert."""
    if "_" not in path[path.rfind("/") + 1 :]:  # nearly always
        return ""
    match = _name_ids.fullmatch(path[path.rfind("/") + 1 :])
    return (parse_id(match[2]) or "") if match and match[2] else ""


def name_stamp(path: str) -> str | None:
    """The local time in a rollout's name, as written there. These texts sort by time."""
    match = _name_time.fullmatch(path[path.rfind("/") + 1 :])
    return match[1] if match else None


def name_time_ms(name: str) -> int | None:
    match = _name_time.fullmatch(name)
    return recorded_time_ms(match[1]) if match else None


def rollout_path(thread_id: str, created_at_ms: int) -> str:
    """The path of a new rollout: date folder and name by local time, as in Codex.

    Raises:
        InvalidThreadId: not a UUID.
    """
    local = datetime.fromtimestamp(created_at_ms / 1000, UTC).astimezone()
    name = f"rollout-{local:%Y-%m-%dT%H-%M-%S}-{checked_id(thread_id)}.jsonl"
    return f"{ACTIVE}/{local:%Y/%m/%d}/{name}"


def likely_folders(thread_id: str) -> list[str]:
    """The date folders in which a thread's rollout may lie, if nobody moved it. The time in the id is UTC, the folders
    are by local time."""
    at_ms = id_time_ms(thread_id)
    if at_ms is None:
        return []
    try:
        day, one = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms), timedelta(days=1)
        return [f"{ACTIVE}/{moment:%Y/%m/%d}" for moment in (day, day - one, day + one)]
    except OverflowError:  # a v7 id of the year 10000 or later
        return []


def is_before(folder: str, other: str) -> bool:
    """Whether a date folder (of a year, a month or a day) holds only days before the day folder `other`."""
    return _date_folder.fullmatch(folder) is not None and folder < other[: len(folder)]


def is_year_or_month(folder: str) -> bool:
    """Whether a folder is one of a year or a month."""
    return len(folder) < len(f"{ACTIVE}/YYYY/MM/DD") and _date_folder.fullmatch(folder) is not None


def check_path(path: str, *folders: str) -> str:
    """The path, if its text lies below one of the folders. Links are for `storage.files.safe_path` to check.

    Raises:
        PathOutsideHome: absolute, with `..`, in another folder, or not `is_plain`.
    """
    plain = _plain_path.fullmatch(path)
    if plain is None or plain[1] not in folders:
        raise PathOutsideHome(path, " or ".join(folders))
    return path


def archived_path(path: str) -> str:
    """The path in the archive, which has no date folders (Codex)."""
    return f"{ARCHIVED}/{path[path.rfind('/') + 1 :]}"


def active_path(path: str) -> str:
    """The path outside the archive. The folder follows from the date in the name (Codex).

    Raises:
        DamagedRollout: the name has no date.
    """
    name = path[path.rfind("/") + 1 :]
    if (folder := active_date(name)) is None:
        raise DamagedRollout(path, "has no date in its name, so its folder is unknown")
    return f"{folder}/{name}"


def active_date(name: str) -> str | None:
    """The date folder for the name of a rollout, None if the name has no date."""
    match = _name_date.fullmatch(name)
    return f"{ACTIVE}/{match[1]}/{match[2]}/{match[3]}" if match else None
