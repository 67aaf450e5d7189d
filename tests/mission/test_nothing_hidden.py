"""What lists and searches leave out by default can be had by a filter, and is found by its words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.mission.conftest import Connect, Tools
from tests.mission.searches import ONE, TWO, put, search, threads
from tests.threads.rollout_lines import agent, user

pytestmark = pytest.mark.anyio

ATTACHMENT = "\n# Files mentioned by the user:\n\n## log.txt: /tmp/log.txt\n\n## My request for Codex:\n"


# ---------------------------------------------------------------------------------------------- without a preview


@pytest.mark.parametrize(
    "lines",
    [[user(ATTACHMENT), agent("the quokka log")], [user("  \n"), agent("a quokka")], [agent("quokka, I said first")]],
    ids=["an attachment", "a blank message", "the agent spoke first"],
)
@pytest.mark.parametrize("with_db", [True, False])
async def test_a_thread_without_a_text_of_the_user_is_counted_listed_by_a_filter_and_found(
    home: Path, connect: Connect, lines: list[object], with_db: bool
) -> None:
    put(home, ONE, *lines)  # pyright: ignore[reportArgumentType]
    put(home, TWO, user("hello"), agent("hi"))
    async with connect(state=with_db) as tools:
        by_default = await tools("thread_list")
        assert [thread["id"] for thread in by_default["data"]] == [TWO]
        assert by_default["hidden"]["without_preview"] == 1
        with_it = await tools("thread_list", include_without_preview=True)
        assert {thread["id"] for thread in with_it["data"]} == {ONE, TWO}
        assert (with_it["total"], with_it["hidden"]["without_preview"]) == (2, 0)
        assert await threads(tools, "quokka") == [ONE]
        assert await threads(tools, "quokka", cwd="/work") == [ONE]


# ---------------------------------------------------------------------------------------------- working directories

WINDOWS = "\\\\?\\C:\\Users\\Me\\Project"
HOME = "/home/me/Project"
WSL = "\\\\wsl.localhost\\Ubuntu\\home\\me\\Project"


@pytest.mark.parametrize(
    ("recorded", "asked", "found"),
    [
        ("/work/", ["/work", "/work/", "/work/.", "/work/x/..", "//work"], True),
        ("/work/x/../y", ["/work/y", "/work/y/", "/work/x/../y"], True),
        ("/work", ["/Work", "/work/y", "/wor"], False),
        ("/work/y", ["/work", "/work/y"], True),
        ("relative/path", ["relative/path", "relative/path/"], True),
        (WINDOWS, [WINDOWS, "C:\\Users\\Me\\Project", "c:/users/me/project/", "/mnt/c/Users/Me/Project"], True),
        ("c:\\Users\\Me\\Project\\", [WINDOWS, "C:\\Users\\Me\\x\\..\\Project"], True),
        ("/mnt/c/Users/Me/Project", [WINDOWS, "/mnt/c/users/me/project/", "/mnt/c/Users/Me/Project"], True),
        (WINDOWS, ["C:\\Users\\M", "D:\\Users\\Me\\Project", "/Users/Me/Project"], False),
        (WINDOWS, ["C:\\Users\\Me", "c:/"], True),
        (
            WSL,
            [WSL, "\\\\wsl$\\Ubuntu\\home\\me\\Project\\", "//wsl$/Ubuntu/home/me/Project", HOME],
            True,
        ),
        (WSL, ["/home/me/project", "\\\\wsl$\\Ubuntu\\hom"], False),
        (WSL, ["\\\\wsl$\\Ubuntu\\home"], True),
        ("\\\\Server\\Share\\X", ["\\\\server\\share\\x\\", "\\\\?\\UNC\\server\\share\\X"], True),
    ],
)
@pytest.mark.parametrize("with_db", [True, False])
async def test_a_cwd_filter_finds_every_spelling_of_the_place(
    home: Path, connect: Connect, recorded: str, asked: list[str], found: bool, with_db: bool
) -> None:
    put(home, ONE, user("the quokka"), agent("hi"), cwd=recorded)
    put(home, TWO, user("the quokka"), agent("hi"), cwd="/elsewhere")
    async with connect(state=with_db) as tools:
        for cwd in asked:
            assert await tools.listed(cwd=cwd) == [ONE] * found
            assert await tools.listed(cwd=[cwd, "/nowhere"], search_term="quokka") == [ONE] * found
            assert await threads(tools, "quokka", cwd=cwd) == [ONE] * found


async def test_a_cwd_filter_takes_what_the_list_shows(home: Path, connect: Connect) -> None:
    for number, cwd in enumerate([WINDOWS, WSL, "/work//x/", "C:/Users/Me", "/mnt/d/x", "~/x"]):
        put(home, f"{ONE[:-1]}{number}", user("the quokka"), agent("hi"), cwd=cwd)
    async with connect() as tools:
        for thread in (await tools("thread_list"))["data"]:
            listed = await tools.listed(cwd=thread["cwd"])
            # One of the folders lies in another one.
            assert listed == [thread["id"]] or (thread["cwd"], len(listed)) == ("C:/Users/Me", 2)


async def test_a_thread_is_started_in_the_windows_folder_that_a_list_shows(tools: Tools) -> None:
    thread_id = await tools.written("the quokka", cwd=WINDOWS)
    assert await tools.listed(cwd="C:/Users/Me/Project") == [thread_id]
    assert (await tools("thread_read", thread_id=thread_id))["thread"]["cwd"] == WINDOWS
    assert len(await search(tools, "quokka", cwd=WINDOWS)) == 1


# ---------------------------------------------------------------------------------------------- what can't be read

GOOD = "01a20581-0000-7000-8000-000000000009"
FOLDER = "sessions/2026/11/22"


def broken(number: int, suffix: str = ".jsonl") -> str:
    return f"{FOLDER}/rollout-2026-11-22T10-00-00-01a20581-0000-7000-8000-00000000000{number}{suffix}"


def break_some(home: Path) -> dict[str, str]:
    """What can't be read, by path, with a part of the reason for each."""
    made = {
        broken(1): "holds no readable line",
        broken(2): "is empty",
        broken(3, ".jsonl.zst"): "can't be read",
        broken(4): "a link that leads to no file",
        broken(5): "no regular file",
        "sessions/rollout-2025-04-20-01a20581-0000-7000-8000-000000000006.json": "is in an old format",
        f"{FOLDER}/rollout-old.jsonl": "is in the format of before September 2025",
    }
    data = [b"{nope\n", b"", b"this is not compressed", None, None, b'{"session": 5}', b'{"record_type": "state"}\n']
    for path, content in zip(made, data, strict=True):
        if content is not None:
            (home / path).write_bytes(content)
    (home / broken(4)).symlink_to(home / "nowhere")
    os.mkfifo(home / broken(5))
    return made


@pytest.mark.parametrize("with_db", [True, False])
async def test_what_can_not_be_read_is_counted_by_lists_and_named_with_the_reason_elsewhere(
    home: Path, connect: Connect, with_db: bool
) -> None:
    put(home, GOOD, user("the quokka"), agent("hi"))
    bad = break_some(home)
    async with connect(state=with_db) as tools:
        await tools("store_status")  # which waits until the index is whole
        for _ in range(2):
            listed = await tools("thread_list")
            assert [thread["id"] for thread in listed["data"]] == [GOOD]
            assert listed["hidden"]["unreadable"] == len(bad)
            found = await tools("thread_search", search_term="quokka")
            assert (len(found["data"]), found["total"]) == (1, 1)
            assert len(found["incomplete"]) == len(bad)
            for path, reason in bad.items():
                assert any(f"`{path}`" in told and reason in told for told in found["incomplete"])
        for deep in (True, False):
            malformed = (await tools("store_status", deep=deep))["malformed"]
            assert {told["path"] for told in malformed} == bad.keys()
            assert all(bad[told["path"]] in told["reason"] for told in malformed)
        assert (await tools("thread_search", search_term="quokka", thread_id=GOOD))["incomplete"] == []
        archived = await tools("thread_list", archived=True)
        assert archived["hidden"]["unreadable"] == 0
        assert (await tools("thread_search", search_term="quokka", archived=True))["incomplete"] == []


async def test_what_becomes_unreadable_or_readable_again_is_counted_at_once(home: Path, connect: Connect) -> None:
    put(home, GOOD, user("the quokka"), agent("hi"))
    good = next(home.rglob(f"*{GOOD}.jsonl")).read_bytes().replace(GOOD.encode(), ONE.encode())
    async with connect(watch=True) as tools:

        async def hidden() -> int:
            return int((await tools("thread_list"))["hidden"]["unreadable"])

        async def until(count: int, meanwhile: Callable[[], object] = lambda: None) -> None:
            with anyio.fail_after(60):
                while await hidden() != count:
                    meanwhile()
                    await anyio.sleep(0.5)

        assert await hidden() == 0
        path = home / broken(1)
        await until(1, lambda: path.write_bytes(b"{nope\n"))  # again and again, until somebody watches
        (home / broken(4)).symlink_to(home / "nowhere")
        await until(2)
        (home / broken(4)).unlink()
        await until(1)
        path.write_bytes(good)
        await until(0)
        assert set(await tools.listed()) == {GOOD, ONE}


async def test_a_thread_whose_file_can_not_be_read_any_more_is_listed_and_not_counted_twice(
    home: Path, connect: Connect
) -> None:
    put(home, GOOD, user("the quokka"), agent("hi"))
    async with connect() as tools:
        assert len(await search(tools, "quokka")) == 1
    path = next(home.rglob(f"*{GOOD}.jsonl"))
    path.write_bytes(b"{nope\n")
    async with connect() as tools:
        await tools("store_repair")
        listed = await tools("thread_list")
        assert ([thread["id"] for thread in listed["data"]], listed["hidden"]["unreadable"]) == ([GOOD], 0)
        (told,) = (await tools("thread_search", search_term="quokka"))["incomplete"]
        assert path.name in told


async def test_more_files_than_can_be_named_are_counted(home: Path, connect: Connect) -> None:
    put(home, GOOD, user("the quokka"), agent("hi"))
    for number in range(30):
        (home / FOLDER / f"rollout-{number:02}.jsonl").write_bytes(b"{nope\n")
    async with connect() as tools:
        assert (await tools("thread_list"))["hidden"]["unreadable"] == 30
        incomplete = (await tools("thread_search", search_term="quokka"))["incomplete"]
        assert (len(incomplete), incomplete[-1]) == (21, "10 more files can't be read; store_status names them")
