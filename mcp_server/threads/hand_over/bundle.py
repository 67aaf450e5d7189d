"""The bundle: a zip with the rollouts of threads, and a manifest that says what they are. Read as something that a
stranger made: nothing in it is believed until it was checked."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

import msgspec

from mcp_server.codex.bounds import BOUNDS
from mcp_server.codex.file_rank import is_canonical
from mcp_server.codex.lines import RawLine, SessionMeta
from mcp_server.codex.metadata import MetadataBuilder
from mcp_server.codex.paths import ACTIVE, ARCHIVED, check_path, is_text, parse_id, rollout_id_of
from mcp_server.errors import LimitReached, StoreFailure, UnusableBundle
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.thread import spawn_parent

FORMAT, VERSION = "threadstore-bundle", 1
MANIFEST = "manifest.json"

MAX_ENTRIES = 20_000
MAX_BYTES = 4 << 30
"""All rollouts together, as they will lie on the disk."""
MAX_EXPANSION, FREE_BYTES = 200, 16 << 20
"""Beyond `FREE_BYTES` the rollouts may be so many times as large as the bundle: text of rollouts shrinks to a tenth or
so, a zip bomb to a thousandth."""
_MANIFEST_BYTES = 16 << 20
_DIRECTORY_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_END_BYTES, _END_SIGNATURE, _ZIP64_SIGNATURE = 22, b"PK\x05\x06", b"PK\x06\x07"
_COMMENT_BYTES, _LOCATOR_BYTES = 65_535, 20
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)

_ANEW = "make the bundle anew with threadstore export"


class BundledRollout(msgspec.Struct, frozen=True):
    """A rollout in the bundle. Its path is also that in the home."""

    path: str
    size: int
    sha256: str


class BundledThread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread in the bundle. `borrowed`: it is here only because others borrow the beginning of their history from
    it. `rollouts`: those that reverts have replaced first, the current one last."""

    id: str
    parent_id: str | None = None
    forked_from_id: str | None = None
    name: str | None = None
    tags: list[str] = []
    cwd: str = ""
    archived: bool = False
    borrowed: bool = False
    rollouts: list[BundledRollout]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the bundle. `redacted` counts by kind what was masked; None if the rollouts are as they were."""

    format: str
    version: int
    root_id: str
    made_by: str
    made_at: str
    redacted: dict[str, int] | None = None
    threads: list[BundledThread]


@dataclass(frozen=True, slots=True)
class CheckedRollout:
    """A rollout of the bundle that is what the manifest says, and what it borrows from."""

    thread: BundledThread
    rollout: BundledRollout
    base: HistoryBase | None

    @property
    def id(self) -> str:
        return rollout_id_of(self.rollout.path) or self.thread.id


class Sink(Protocol):
    """Where an export goes."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> object: ...


# ---------------------------------------------------------------------------------------------- writing


class BundleWriter:
    """Writes a bundle from its beginning to its end, so that it need not be held in memory."""

    def __init__(self, sink: Sink) -> None:
        self._zip = zipfile.ZipFile(cast("BinaryIO", sink), "w", zipfile.ZIP_DEFLATED)

    def add(self, path: str, parts: Iterable[bytes]) -> BundledRollout:
        """Add a rollout."""
        size, digest = 0, hashlib.sha256()
        with self._zip.open(_entry(path), "w", force_zip64=True) as member:
            for part in parts:
                member.write(part)
                digest.update(part)
                size += len(part)
        return BundledRollout(path, size, digest.hexdigest())

    def close(self, manifest: Manifest) -> None:
        """Add the manifest, and end the bundle."""
        self._zip.writestr(_entry(MANIFEST), msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        self._zip.close()


def _entry(path: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, _EARLIEST)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    return entry


# ---------------------------------------------------------------------------------------------- reading


class Bundle:
    """An opened bundle whose manifest and entries fit each other. Its rollouts are checked as they are read."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self._zip, self.manifest = archive, manifest

    @property
    def size(self) -> int:
        """The bytes of all rollouts."""
        return sum(rollout.size for thread in self.manifest.threads for rollout in thread.rollouts)

    def parts(self, rollout: BundledRollout) -> Generator[bytes]:
        """The bytes of a rollout.

        Raises:
            UnusableBundle: they are not those that the manifest tells of.
        """
        left, digest = rollout.size, hashlib.sha256()
        with _reading(), self._zip.open(rollout.path) as member:
            while part := member.read(min(_CHUNK_BYTES, left + 1)):
                left -= len(part)
                if left < 0:
                    break
                digest.update(part)
                yield part
        if left or digest.hexdigest() != rollout.sha256:
            raise UnusableBundle(f"{rollout.path} is not the file that the manifest tells of", _ANEW)

    def checked(self) -> list[CheckedRollout]:
        """Read every rollout to its end, and compare what it says of itself with the manifest.

        Raises:
            UnusableBundle: they differ.
        """
        all_ = [(thread, rollout) for thread in self.manifest.threads for rollout in thread.rollouts]
        return [CheckedRollout(*one, _identity(*one, self.parts(one[1])).history_base) for one in all_]


@contextmanager
def opened(file: BinaryIO) -> Generator[Bundle]:
    """Open a bundle in a file that can be sought in.

    Raises:
        UnusableBundle: it is no bundle, or a part of it could not be trusted.
        LimitReached: it is too large, or would become so.
    """
    with _reading():
        packed = _check_directory(file)
        archive = zipfile.ZipFile(file)
    with archive:
        entries = archive.infolist()
        _check_entries(entries, packed)
        manifest = _manifest(archive)
        _check_manifest(manifest)
        _check_members(manifest, {entry.filename: entry.file_size for entry in entries})
        yield Bundle(archive, manifest)


@contextmanager
def _reading() -> Generator[None]:
    try:
        yield
    except _BROKEN_ZIP as error:
        raise UnusableBundle(f"it is no zip, or a damaged one ({error})", "get the file again") from error


def _check_directory(file: BinaryIO) -> int:
    """Bound the directory at the end of the zip before it is read into memory. Returns the size of the file."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _COMMENT_BYTES - _LOCATOR_BYTES))
    tail = file.read()
    at = len(tail) - _END_BYTES
    if tail[at : at + 4] != _END_SIGNATURE or tail[-2:] != b"\0\0":  # in the order in which zipfile looks for it
        at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) < at + _END_BYTES:
        raise UnusableBundle("it is no zip", "pass a file that threadstore export has made")
    entries, directory = (
        int.from_bytes(tail[at + 10 : at + 12], "little"),
        int.from_bytes(tail[at + 12 : at + 16], "little"),
    )
    is_zip64 = tail[max(0, at - _LOCATOR_BYTES) : at].startswith(_ZIP64_SIGNATURE)
    if is_zip64 or entries > MAX_ENTRIES or directory > _DIRECTORY_BYTES or size > MAX_BYTES:
        raise LimitReached("the bundle has too many entries or is too large", MAX_ENTRIES, "export smaller trees")
    file.seek(0)
    return size


def _check_entries(entries: Sequence[zipfile.ZipInfo], packed: int) -> None:
    for entry in entries:
        if entry.orig_filename != entry.filename or entry.is_dir() or not _is_regular(entry):
            raise UnusableBundle(f"{entry.orig_filename!r:.90} is no plain file", _ANEW)
        if entry.flag_bits & 0x1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnusableBundle(f"{entry.filename!r:.90} is encrypted or packed in another way", _ANEW)
    if twice := [name for name, times in Counter(entry.filename for entry in entries).items() if times > 1]:
        raise UnusableBundle(f"{twice[0]!r:.90} is in it twice", _ANEW)
    expanded = sum(entry.file_size for entry in entries)
    if expanded > MAX_BYTES:
        raise LimitReached(f"the bundle expands to {expanded} bytes", MAX_BYTES, "export smaller trees")
    if expanded > FREE_BYTES + MAX_EXPANSION * packed:
        raise LimitReached(
            f"the bundle of {packed} bytes expands to {expanded}, as a zip bomb does", MAX_EXPANSION, "export it anew"
        )


def _is_regular(entry: zipfile.ZipInfo) -> bool:
    mode = entry.external_attr >> 16
    return not stat.S_IFMT(mode) or stat.S_ISREG(mode)


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    try:
        entry = archive.getinfo(MANIFEST)
    except KeyError as error:
        raise UnusableBundle(f"it has no {MANIFEST}", "pass a file that threadstore export has made") from error
    if entry.file_size > _MANIFEST_BYTES:
        raise LimitReached("the manifest of the bundle is too large", _MANIFEST_BYTES, "export smaller trees")
    with _reading(), archive.open(entry) as member:
        data = member.read(_MANIFEST_BYTES + 1)
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableBundle(f"its manifest can't be read ({error})", _ANEW) from error


def _check_manifest(manifest: Manifest) -> None:
    if manifest.format != FORMAT:
        raise UnusableBundle(f"its format is {manifest.format!r:.40}", "pass a file that threadstore export has made")
    if manifest.version != VERSION:
        raise UnusableBundle(f"its format has version {manifest.version}", f"this server reads version {VERSION}")
    ids = [thread.id for thread in manifest.threads]
    if manifest.root_id not in ids or len(set(ids)) < len(ids):
        raise UnusableBundle("its manifest names a thread twice, or not the root", _ANEW)
    for thread in manifest.threads:
        if parse_id(thread.id) != thread.id:
            raise UnusableBundle(f"{thread.id!r:.60} is no thread id", _ANEW)
        if not thread.rollouts:
            raise UnusableBundle(f"thread {thread.id} has no file", _ANEW)
        for rollout in thread.rollouts:
            _check_place(thread, rollout)


def _check_place(thread: BundledThread, rollout: BundledRollout) -> None:
    """A rollout may lie only where Codex would put one of this thread."""
    try:
        check_path(rollout.path, ACTIVE, ARCHIVED)
        fits = is_canonical(rollout.path, thread.id) and is_text(rollout.path)
    except StoreFailure:
        fits = False
    if not fits:
        reason = f"{rollout.path!r:.90} is no place for a file of thread {thread.id}"
        raise UnusableBundle(reason, _ANEW)


def _check_members(manifest: Manifest, sizes: Mapping[str, int]) -> None:
    """The entries are exactly those that the manifest names."""
    named = [rollout for thread in manifest.threads for rollout in thread.rollouts]
    paths = {rollout.path for rollout in named}
    if len(paths) < len(named):
        raise UnusableBundle("its manifest names a file twice", _ANEW)
    if odd := sorted(paths.symmetric_difference(sizes) - {MANIFEST}):
        what = "is not in it" if odd[0] in paths else "is not in its manifest"
        raise UnusableBundle(f"{odd[0]!r:.90} {what}", _ANEW)
    if wrong := [rollout.path for rollout in named if sizes[rollout.path] != rollout.size]:
        raise UnusableBundle(f"{wrong[0]!r:.90} has another size than its manifest says", _ANEW)


def _identity(thread: BundledThread, rollout: BundledRollout, parts: Iterable[bytes]) -> SessionMeta:
    """Read a rollout to its end. Its first line must tell of the same thread as the manifest."""
    builder, head = MetadataBuilder(rollout.path, BOUNDS), bytearray()
    for part in parts:
        if builder.has_identity or len(head) > BOUNDS.line_bytes:
            continue
        head += part
        *lines, _ = head.split(b"\n")
        if first := next((bytes(line) for line in lines if line.strip()), None):
            _take(builder, first)
    if not builder.has_identity:
        _take(builder, bytes(head))
    meta, thread_id = builder.identity
    own = (thread_id, _id(meta.parent_thread_id) or _id(spawn_parent(meta.source)), _id(meta.forked_from_id))
    if own != (thread.id, thread.parent_id, thread.forked_from_id):
        raise UnusableBundle(f"{rollout.path} tells of another thread than the manifest", _ANEW)
    return meta


def _take(builder: MetadataBuilder, line: bytes) -> None:
    try:
        builder.take([RawLine(0, line)])
        _ = builder.identity
    except StoreFailure as error:
        raise UnusableBundle(f"{builder.path} is no file of a thread", _ANEW) from error


def _id(given: str | None) -> str | None:
    return parse_id(given) or given
