"""One spelling for each place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.models.cwd import canonical_cwd, is_windows_path

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
