"""What lists and searches leave out by default can be had by a filter, and is found by its words."""

from __future__ import annotations

from pathlib import Path

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
        ("/work", ["/Work", "/work/y", "/"], False),
        ("relative/path", ["relative/path", "relative/path/"], True),
        (WINDOWS, [WINDOWS, "C:\\Users\\Me\\Project", "c:/users/me/project/", "/mnt/c/Users/Me/Project"], True),
        ("c:\\Users\\Me\\Project\\", [WINDOWS, "C:\\Users\\Me\\x\\..\\Project"], True),
        ("/mnt/c/Users/Me/Project", [WINDOWS, "/mnt/c/users/me/project/", "/mnt/c/Users/Me/Project"], True),
        (WINDOWS, ["C:\\Users\\Me", "D:\\Users\\Me\\Project", "/Users/Me/Project"], False),
        (
            WSL,
            [WSL, "\\\\wsl$\\Ubuntu\\home\\me\\Project\\", "//wsl$/Ubuntu/home/me/Project", HOME],
            True,
        ),
        (WSL, ["/home/me/project", "\\\\wsl$\\Ubuntu\\home"], False),
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
            assert await tools.listed(cwd=thread["cwd"]) == [thread["id"]]


async def test_a_thread_is_started_in_the_windows_folder_that_a_list_shows(tools: Tools) -> None:
    thread_id = await tools.written("the quokka", cwd=WINDOWS)
    assert await tools.listed(cwd="C:/Users/Me/Project") == [thread_id]
    assert (await tools("thread_read", thread_id=thread_id))["thread"]["cwd"] == WINDOWS
    assert len(await search(tools, "quokka", cwd=WINDOWS)) == 1
