"""The server's icon as a data URI, since clients may have no way to fetch a file.

Only the server has it. Repeated in the `icons` of each tool it would be a tenth of the tools/list answer, only to show
in each line what hosts show at the server's name.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

FILE = Path(__file__).with_name("icon.svg")
MEDIA_TYPE = "image/svg+xml"


def data_uri() -> str:
    return f"data:{MEDIA_TYPE},{quote(FILE.read_text(encoding='utf-8').strip(), safe='=:/')}"
