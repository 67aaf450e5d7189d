"""A disk that is really full, and a home that is really mounted read-only: mounts, where this process may make them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.disks import mounted
from tests.mission.conftest import Connect, Era, Refused, rollouts
from tests.mission.conftest import connect as connect
from tests.mission.conftest import era as era
from tests.mission.conftest import home as home

pytestmark = pytest.mark.anyio


@pytest.fixture
def era_once(era: Era) -> None:
    if era == "legacy":
        pytest.skip("the protocol makes no difference to the disk")


@pytest.mark.usefixtures("era_once")
async def test_on_a_full_disk_nothing_is_half_done_and_service_goes_on_when_there_is_room(
    home: Path, connect: Connect
) -> None:
    with mounted("-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", on=home):
        async with connect() as tools:
            thread_id = await tools.written("before")
            (path,) = rollouts(home)
            content = path.read_bytes()
            ballast = home / "ballast"
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
            with pytest.raises(Refused, match="No space left on device") as refused:
                await tools("turn_start", thread_id=thread_id, input="y" * 100_000)
            assert refused.value.code == "write_failed"
            assert "repeat the call" in refused.value.sentence
            assert path.read_bytes() == content
            assert (await tools("thread_read", thread_id=thread_id, include_turns=True))["total"] == 1
            ballast.unlink()
            await tools("turn_start", thread_id=thread_id, input="y" * 100_000)
            assert (await tools("thread_read", thread_id=thread_id, include_turns=True))["total"] == 2
            await tools("turn_complete", thread_id=thread_id)
        async with connect() as tools:
            status = await tools("store_status", deep=True)
            assert (status["counts"]["malformed"], status["counts"]["stale"]) == (0, 0)


@pytest.mark.usefixtures("era_once")
@pytest.mark.parametrize("read_only", [True, False])
async def test_a_home_that_is_mounted_read_only_is_read_and_its_writes_are_refused(
    home: Path, connect: Connect, tmp_path: Path, read_only: bool
) -> None:
    async with connect() as tools:
        thread_id = await tools.written("hello", name="kept")
        gone = await tools.written("put away")
        await tools("thread_archive", thread_id=gone)
    sealed = tmp_path / "sealed"
    with mounted("--bind", str(home), on=sealed):
        await anyio.run_process(["mount", "-o", "remount,bind,ro", str(sealed)])
        state = None if read_only else sealed / "threadstore.sqlite"
        async with connect(home=sealed, state_path=state, read_only=read_only) as tools:
            assert await tools.listed() == [thread_id]
            assert await tools.listed(archived=True) == [gone]
            assert (await tools("thread_read", thread_id="kept", include_turns=True))["total"] == 1
            assert len((await tools("thread_search", search_term="hello"))["data"]) == 1
            assert (await tools("store_status"))["counts"]["files_active"] == 1
            if not read_only:
                refused: list[tuple[str, dict[str, Any]]] = [
                    ("thread_start", {}),
                    ("thread_resume", {"thread_id": thread_id}),
                    ("thread_update", {"thread_id": thread_id, "name": "new"}),
                    ("thread_update", {"thread_id": thread_id, "git_info": {"branch": "x"}}),
                    ("thread_update", {"thread_id": thread_id, "tags": ["kept"]}),
                    ("thread_archive", {"thread_id": thread_id}),
                    ("thread_unarchive", {"thread_id": gone}),
                    ("thread_delete", {"thread_id": thread_id, "confirm_thread_id": thread_id}),
                ]
                for verb, arguments in refused:
                    with pytest.raises(Refused, match=r"Read-only file system|readonly database") as told:
                        await tools(verb, **arguments)
                    if verb in ("thread_archive", "thread_unarchive", "thread_delete"):
                        with pytest.raises(Refused) as foretold:
                            await tools(verb, **arguments, dry_run=True)
                        assert foretold.value.sentence == told.value.sentence
                assert await tools.listed() == [thread_id]
                assert await tools.loaded() == []
