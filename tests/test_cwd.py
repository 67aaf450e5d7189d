"""One spelling for each place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.models.cwd import (
    canonical_cwd,
    folders_called,
    is_windows_path,
    is_within,
    nearest_folders,
)

_parts = st.sampled_from(["C:", "mnt", "c", "x", "X", "..", ".", "", "?", "wsl$", "Ubuntu", "UNC", "a b", "é", "\0"])
_roots = st.sampled_from(["/", "//", "\\\\", "\\\\?\\", "C:\\", "c:/"])
_paths = st.tuples(_roots, st.lists(_parts), st.sampled_from("/\\"))
PATHS = _paths.map(lambda made: made[0] + made[2].join(made[1]))


@given(PATHS)
def test_a_canonical_cwd_is_its_own_canonical_form(cwd: str) -> None:
    assert canonical_cwd(canonical_cwd(cwd)) == canonical_cwd(cwd)


@given(PATHS.filter(lambda cwd: cwd.strip("\\/") != ""))
def test_slashes_at_the_end_make_no_difference(cwd: str) -> None:
    assert canonical_cwd(f"{cwd}/") == canonical_cwd(cwd)


@given(st.lists(st.sampled_from(["Users", "Me", "Ünïcode", "x y"]), min_size=1))
def test_on_windows_neither_case_nor_slashes_nor_the_name_of_the_drive_matter(parts: list[str]) -> None:
    path = "C:\\" + "\\".join(parts)
    alike = [path.lower(), path.replace("\\", "/"), f"\\\\?\\{path}", "/mnt/c/" + "/".join(parts), f"{path}\\"]
    assert is_windows_path(path)
    assert {canonical_cwd(other) for other in alike} == {canonical_cwd(path)}


def test_a_folder_holds_itself_and_what_lies_below_it() -> None:
    assert is_within("/a/b", "/a/b")
    assert is_within("/a/b/c", "/a/b")
    assert is_within("/a", "/")
    assert is_within("c:/x", "c:/")
    assert not is_within("/a/bc", "/a/b")
    assert not is_within("/a", "/a/b")
    assert not is_within("/a", "")


def test_a_bare_name_finds_the_folders_of_that_name_whatever_its_case() -> None:
    places = ["/srv/Shop", "/srv/Shop/api", "/home/me/shop", "/home/me/shopping", "c:/shop/web"]
    assert folders_called("shop", places) == ["/srv/Shop", "/home/me/shop", "c:/shop"]
    assert folders_called("WEB", places) == ["c:/shop/web"]
    assert folders_called("srv", places) == ["/srv"]
    assert folders_called("hop", places) == []


def test_the_nearest_folders_are_like_it_in_name_or_path() -> None:
    places = ["/srv/checkout", "/srv/checkin", "/home/me/notes", ""]
    assert nearest_folders("chekout", places) == ["/srv/checkout"]
    assert nearest_folders("/srv/notes", places)[0] == "/home/me/notes"
    assert nearest_folders("zzz", places) == []
