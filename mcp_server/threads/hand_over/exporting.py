"""The verb that exports a thread with its sub-agents, in one of four formats."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import PurePosixPath

from msgspec import UNSET, structs

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.rewrite import Rewriter
from mcp_server.errors import LimitReached
from mcp_server.models.heading import title_line, title_of
from mcp_server.models.params import ExportFormat, ExportParams
from mcp_server.models.redaction import Redactor
from mcp_server.models.results import ExportResult, OutlineEntry
from mcp_server.models.thread import StoredThread
from mcp_server.models.times import rfc3339
from mcp_server.models.tokens import TokenUsage
from mcp_server.models.turn import Turn
from mcp_server.models.value import Json
from mcp_server.storage.exports import Exports
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.hand_over.atif import trajectory
from mcp_server.threads.hand_over.bundle import FORMAT, VERSION, BundledRollout, BundledThread, BundleWriter, Manifest
from mcp_server.threads.hand_over.html import html
from mcp_server.threads.hand_over.lineage import Lineage, Member, lineage_of, tree_of
from mcp_server.threads.hand_over.markdown import markdown
from mcp_server.threads.hand_over.order import bases_first, borrowed_ends
from mcp_server.threads.hand_over.page_data import ExportedThread, Part, page_data
from mcp_server.threads.hand_over.turns import Mask, masked, turns_of
from mcp_server.threads.tree import ThreadTree
from mcp_server.threads.views import thread_tokens, thread_view

_CHUNK_BYTES = 4 << 20
_ANSWER_BYTES = 8 << 20
_TITLE_CHARS, _ID_CHARS = 40, 13

SUFFIXES = {"markdown": ".md", "html": ".html", "bundle": ".zip", "atif": ".json"}
"""How the file of each format ends."""

Write = Callable[[bytes], object]


class Exporter:
    """`version` is that of this program, which exports name."""

    def __init__(
        self, catalog: Catalog, tree: ThreadTree, exports: Exports, now_ms: Callable[[], int], version: str = ""
    ) -> None:
        self._catalog, self._tree, self._exports, self._now, self._version = catalog, tree, exports, now_ms, version

    def into_home(self, params: ExportParams) -> ExportResult:
        """`run`, into a new file among the home's exports.

        Raises:
            WriteFailed: the file can't be written.
        """
        at = rfc3339(self._now())[:19].replace(":", "-")
        title, ending = self.file_name(params).rsplit(".", 1)
        path, result = self._exports.write(f"{title}-{at}.{ending}", lambda write: self.run(params, write))
        return structs.replace(result, path=path)

    def read(self, name: str) -> bytes:
        """The bytes of one of the home's exports.

        Raises:
            InvalidArgument: there is none of this name.
            LimitReached: it is too large for one answer.
        """
        with self._exports.open(PurePosixPath(name).name) as file:
            data = file.read(_ANSWER_BYTES + 1)
        if len(data) > _ANSWER_BYTES:
            raise LimitReached(f"export {name} is too large to be read as a resource", _ANSWER_BYTES, "open the file")
        return data

    def file_name(self, params: ExportParams) -> str:
        """A name for the export: the thread's title, as far as file systems like it, and the beginning of its id."""
        thread = self._catalog.known(self._catalog.resolve(params.thread_id))
        shown = title_of(thread, _TITLE_CHARS)
        title = re.sub(r"[^A-Za-z0-9]+", "-", Redactor().mask(shown) if params.redact else shown).strip("-").lower()
        return f"{title or 'thread'}-{thread.id[:_ID_CHARS]}{SUFFIXES[params.format]}"

    def run(self, params: ExportParams, write: Write) -> ExportResult:
        """Export a thread and its sub-agents. The bytes go to `write`, part by part; if this raises, what was written
        is of no use.

        Raises:
            ThreadNotFound, DamagedRollout: of the thread, or of a rollout in a bundle.
            EphemeralThread, NotMaterialized: the thread is in memory only.
        """
        out, redactor = _Output(write), Redactor() if params.redact else None
        threads, left_out = tree_of(self._catalog, params.thread_id)
        if params.format == "bundle":
            self._bundle(lineage_of(self._catalog, threads), out, redactor)
        else:
            for part in self._text(threads, params.format, redactor):
                out.write(part.encode("utf-8", "replace"))
        return ExportResult(
            thread_id=threads[0].id,
            threads=len(threads),
            size=out.size,
            sha256=out.digest.hexdigest(),
            masked=UNSET if redactor is None else redactor.counts(),
            left_out=left_out or UNSET,
        )

    # ------------------------------------------------------------------------------------------ texts

    def _text(self, threads: Sequence[StoredThread], form: ExportFormat, redactor: Redactor | None) -> Iterable[str]:
        mask = redactor.mask if redactor else None
        if mask is not None:
            threads = [_masked(thread, mask) for thread in threads]
        if form == "atif":
            return [json.dumps(trajectory(threads, lambda thread: self._with_tokens(thread, mask)), ensure_ascii=False)]
        if form == "html":
            return html(title_line(threads[0]), self._page_data(threads, mask))
        return markdown(threads, lambda thread: turns_of(self._catalog, thread, mask))

    def _with_tokens(self, thread: StoredThread, mask: Mask | None) -> Generator[tuple[Turn, TokenUsage | None]]:
        history = self._catalog.history(thread)
        used = history.used_in(0, history.checkpoint.turns)
        for turn in turns_of(self._catalog, thread, mask):
            yield turn, used.get(turn.id)

    def _page_data(self, threads: Sequence[StoredThread], mask: Mask | None) -> Iterable[Part]:
        def whole(thread: StoredThread, outline: list[OutlineEntry]) -> ExportedThread:
            shown = structs.replace(thread_view(thread, self._catalog.rollouts), path=None)
            return ExportedThread(
                thread=shown, tokens=thread_tokens(self._catalog.history(thread).tokens), outline=outline
            )

        made: Json = {"made_by": self._program, "made_at": rfc3339(self._now()), "redacted": mask is not None}
        parts = page_data(
            made,
            threads,
            turns_of=lambda thread: self._with_tokens(thread, mask),
            whole=whole,
            tree=lambda: self._tree.show(threads[0].id),
        )
        return parts if mask is None else ((name, masked(value, mask)) for name, value in parts)

    @property
    def _program(self) -> str:
        return f"threadstore {self._version}".rstrip()

    # ------------------------------------------------------------------------------------------ bundles

    def _bundle(self, lineage: Lineage, out: _Output, redactor: Redactor | None) -> None:
        rewriter = Rewriter(mask=redactor.mask if redactor else None)
        archive, ends = BundleWriter(out), borrowed_ends(lineage.segments)
        written: dict[str, BundledRollout] = {}
        for segment in bases_first(lineage.segments):
            parts = rewriter.rewritten(segment.id, self._parts(segment.rollout), ends.get(segment.id, ()))
            written[segment.id] = archive.add(segment.path, parts)
        archive.close(
            Manifest(
                format=FORMAT,
                version=VERSION,
                root_id=next(iter(lineage.members)),
                made_by=self._program,
                made_at=rfc3339(self._now()),
                threads=[_bundled(member, written, redactor) for member in lineage.members.values()],
                redacted=None if redactor is None else redactor.counts(),
            )
        )

    def _parts(self, rollout: RolloutRef) -> Generator[bytes]:
        """The text of a rollout, as far as it was written when the export began."""
        start, end = 0, rollout.size if rollout.is_text else 1 << 62
        while start < end:
            (data,) = self._catalog.rollouts.read(rollout, [(start, min(start + _CHUNK_BYTES, end))])
            if not data:
                return
            yield data
            start += len(data)


class _Output:
    """Counts the bytes of an export, and makes their checksum."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.size, self.digest = 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._write(data)
        self.digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Whoever gave `write` flushes."""


def _masked(thread: StoredThread, mask: Mask) -> StoredThread:
    """The thread with the texts masked that an export shows of it."""
    return structs.replace(
        thread,
        name=None if thread.name is None else mask(thread.name),
        preview=mask(thread.preview),
        cwd=mask(thread.cwd),
        tags=tuple(map(mask, thread.tags)),
        source=masked(thread.source, mask),
        agent_nickname=thread.agent_nickname and mask(thread.agent_nickname),
        agent_role=thread.agent_role and mask(thread.agent_role),
        originator=thread.originator and mask(thread.originator),
        git=None
        if thread.git is None
        else structs.replace(thread.git, branch=thread.git.branch and mask(thread.git.branch)),
    )


def _bundled(member: Member, written: dict[str, BundledRollout], redactor: Redactor | None) -> BundledThread:
    thread = member.thread

    def shown(text: str) -> str:
        return redactor.mask(text) if redactor else text

    return BundledThread(
        id=thread.id,
        parent_id=thread.parent_thread_id,
        forked_from_id=thread.forked_from_id,
        name=None if thread.name is None else shown(thread.name),
        tags=[shown(tag) for tag in thread.tags],
        cwd=shown(thread.cwd),
        archived=thread.archived,
        borrowed=member.borrowed,
        rollouts=[written[segment.id] for segment in member.segments],
    )
