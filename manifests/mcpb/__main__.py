"""Packs the bundle: `python -m manifests.mcpb OUT`, in a checkout. OUT is a folder, or the file to write.

A bundle is a zip archive with a manifest, the package and what builds it. The host that opens it (Claude Desktop, for
one) runs it with uv, which fetches the libraries. The same sources give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

CHECKOUT = Path(__file__).parents[2]
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def sources() -> Iterator[Path]:
    """What a bundle holds beside its manifest: all that is needed to build the package. No tests, and the page as it
    is built, without its source."""
    package = CHECKOUT / "mcp_server"
    yield from (CHECKOUT / name for name in ("pyproject.toml", "README.md", "LICENSE"))
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.is_relative_to(package / "web"):
            yield path


def manifest() -> str:
    """The manifest, with the version of the package."""
    told = json.loads((Path(__file__).parent / "manifest.json").read_text(encoding="utf-8"))
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return json.dumps(told | {"version": project["version"]}, indent=2, ensure_ascii=False) + "\n"


def pack(out: Path) -> Path:
    """Write the bundle; returns where it lies."""
    told = manifest()
    if out.suffix != ".mcpb":
        out = out / f"threadstore-{json.loads(told)['version']}.mcpb"
    out.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(out, "w", ZIP_DEFLATED) as bundle:
        _add(bundle, "manifest.json", told.encode())
        _add(bundle, "icon.png", (Path(__file__).parent / "icon.png").read_bytes())
        for path in sources():
            _add(bundle, path.relative_to(CHECKOUT).as_posix(), path.read_bytes())
    return out


def _add(bundle: ZipFile, name: str, content: bytes) -> None:
    info = ZipInfo(name, _LONG_AGO)
    info.external_attr = 0o644 << 16
    bundle.writestr(info, content, ZIP_DEFLATED)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m manifests.mcpb OUT (a folder, or the name of the .mcpb file)\n")
        return 2
    try:
        path = pack(Path(arguments[0]))
    except OSError as error:
        sys.stderr.write(f"could not write {error.filename}: {error.strerror}\n")
        return 1
    sys.stdout.write(f"{path} ({hashlib.sha256(path.read_bytes()).hexdigest()})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
