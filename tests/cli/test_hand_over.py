"""`threadstore export` and `threadstore import`, as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mcp_server.cli import app
from mcp_server.codex.files import RolloutRef
from mcp_server.storage.files.rollouts import RolloutFiles
from tests.cli.terminal import piped
from tests.stores.rollout_text import PATH_A, PATH_B, A, B, meta, text_of, user

SECRET = "ghp_" + "a1B2" * 9


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rollouts = RolloutFiles(tmp_path / "home")
    rollouts.create(RolloutRef(PATH_A), text_of(meta(A), user(f"My first, with {SECRET}")))
    source = {"subagent": {"thread_spawn": {"parent_thread_id": A, "depth": 1}}}
    rollouts.create(RolloutRef(PATH_B), text_of(meta(B, source=source), user("below")))
    rollouts.set_name(A, "The first", 0)
    return tmp_path / "home"


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(home)])


def test_a_bundle_goes_from_one_home_to_another(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "first.zip"
    done = run(home, "export", "The first", "--format", "bundle", "-o", str(file))
    assert (done.exit_code, done.stdout.split(" (")[0]) == (0, f"Exported 2 threads to {file}")
    other = tmp_path / "other"
    told = run(other, "import", str(file), "--map", "/w=/srv/w", "--dry-run")
    assert told.stdout.startswith("Would import 2 threads")
    assert not other.exists()
    assert run(other, "import", str(file), "--map", "/w=/srv/w").stdout.startswith("Imported 2 threads")
    text = (other / PATH_A).read_text()
    assert json.loads(text.splitlines()[0])["payload"]["cwd"] == "/srv/w"
    again = json.loads(run(other, "import", str(file), "--json").stdout)
    assert [row["old_id"] for row in again["data"]] == [A, B]


def test_without_a_file_the_export_is_named_after_the_thread(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(home, "export", A).exit_code == 0
    assert (tmp_path / f"the-first-{A[:13]}.md").read_text().startswith("# The first\n")


def test_an_export_goes_to_stdout_and_its_receipt_to_stderr(home: Path) -> None:
    done = run(home, "export", A, "-o", "-")
    assert done.stdout.startswith("# The first\n")
    assert "Exported" not in done.stdout
    assert done.stderr.startswith("Exported 2 threads (")


def test_nothing_is_overwritten(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.md"
    file.write_text("mine", encoding="utf-8")
    done = run(home, "export", A, "-o", str(file))
    assert (done.exit_code, done.stderr) == (1, f"{file} exists already; name another file with -o, or delete it\n")
    assert file.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_second_export_into_the_same_file_is_refused_with_the_way_out(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "first.zip"
    words = ("export", "The first", "--format", "bundle", "-o", str(file))
    piped(home, *words)
    first = file.read_bytes()
    done = piped(home, *words, code=1)
    assert done.stdout == ""
    assert done.stderr == f"{file} exists already; name another file with -o, or delete it\n"
    assert file.read_bytes() == first


def test_what_was_masked_is_said_and_the_secret_is_not(home: Path) -> None:
    done = run(home, "export", A, "-o", "-", "--redact")
    assert "[redacted:github-token]" in done.stdout.replace("\\", "")
    assert "Masked: 2 github-token." in done.stderr or "Masked: 1 github-token." in done.stderr
    assert SECRET not in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("export", "nobody"), 1, "no thread found for nobody"),
        (("import", "/nowhere.zip"), 1, "could not read or write /nowhere.zip"),
        (("import", __file__), 1, "the bundle was not imported: it is no zip"),
        (("import", __file__, "--map", "/old"), 2, "is not OLD=NEW"),
        (("export", A, "--format", "pdf"), 2, "pdf"),
    ],
)
def test_what_can_not_be_done_is_said_on_stderr(home: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run(home, *arguments)
    assert done.exit_code == code
    assert said in " ".join(done.stderr.split())
    assert done.stdout == ""
