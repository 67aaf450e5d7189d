"""Commands for people on homes that are not as they should be: a sentence that fits, and no traceback."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.disks import mounted
from tests.servers import free_port
from tests.test_cli import environment, run, words
from tests.test_homes import everything, lay_thread

COMMANDS = {
    "doctor": ("doctor",),
    "repair": ("doctor", "--repair", "--yes"),
    "reindex": ("reindex",),
    "demo": ("demo",),
    "serve": ("serve",),
}
# Root may read and write what it has forbidden itself, unless it gives that up first.
_POWERS = "-dac_override,-dac_read_search"
POWERLESS = ("setpriv", f"--bounding-set={_POWERS}", f"--inh-caps={_POWERS}")


def said(*arguments: str, before: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit code, and all that a person reads."""
    done = subprocess.run(
        [*before, *words(*arguments)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    return done.returncode, told


@pytest.fixture
def home(tmp_path: Path) -> Path:
    lay_thread(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def sealed(home: Path) -> Generator[Path]:
    """The home with one thread, on a disk that can't be written."""
    place = home.with_name("sealed")
    with mounted("--bind", str(home), on=place):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        yield place


@pytest.mark.parametrize("indexed", [True, False])
def test_each_command_on_a_read_only_disk_says_so_and_names_what_works_there(
    sealed: Path, home: Path, indexed: bool
) -> None:
    if indexed:
        assert run("reindex", "--home", str(home)).returncode == 0
    else:
        (home / "sessions" / "notes").write_text("")
    for name in ("doctor", "repair", "reindex"):
        code, told = said(*COMMANDS[name], "--home", str(sealed))
        assert code == 1
        assert "Read-only file system" in told
        assert "`threadstore serve --read-only`" in told
        assert "`threadstore reindex` builds one" not in told
    assert said("serve", "--read-only", "--home", str(sealed))[0] == 0


def test_doctor_says_which_files_are_no_thread_of_their_own(home: Path) -> None:
    (own,) = home.rglob("*.jsonl")
    assert run("reindex", "--home", str(home)).returncode == 0
    assert "no thread of their own" not in said("doctor", "--home", str(home))[1]
    shutil.copy(own, own.with_stem(f"{own.stem}_01a00000-0000-7000-8000-000000000001"))
    (own.parent / "copied").mkdir()
    shutil.copy(own, own.parent / "copied" / own.name)
    own.with_stem(f"{own.stem[:-1]}0").write_text("")
    told = " ".join(said("doctor", "--home", str(home))[1].replace("│", "").split())
    assert "files 4 0 threads 1 0" in told
    said_so = (
        "Files that are no thread of their own: 1 kept from before a revert, 1 with the id of another, 1 unreadable."
    )
    assert said_so in told


def test_a_demo_on_a_read_only_disk_is_refused(sealed: Path, home: Path) -> None:
    shutil.rmtree(home / "sessions")
    code, told = said("demo", "--home", str(sealed))
    assert code == 2
    assert f"{sealed}: it can't be written (Read-only file system)" in told


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize(("closed", "reason"), [("home", "it can't be read"), ("home/sessions", "its sessions can't")])
def test_an_unreadable_home_is_not_taken_for_an_empty_one(home: Path, tmp_path: Path, closed: str, reason: str) -> None:
    (tmp_path / closed).chmod(0)
    try:
        for name, command in COMMANDS.items():
            code, told = said(*command, "--home", str(home), before=POWERLESS)
            assert (name, code) == (name, 2)
            assert f"{home}: {reason}" in told
            assert str(tmp_path / closed) in told
    finally:
        (tmp_path / closed).chmod(0o700)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_a_home_below_an_unreadable_folder_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    for command in COMMANDS.values():
        code, told = said(*command, "--home", str(tmp_path / "closed" / "home"), before=POWERLESS)
        assert code == 2
        assert "it can't be opened (Permission denied)" in told


@pytest.mark.parametrize("name", ["doctor", "reindex"])
def test_a_state_db_that_is_not_a_file_is_reported_with_the_way_out(home: Path, name: str) -> None:
    (home / "threadstore.sqlite").mkdir()
    code, told = said(name, "--home", str(home))
    assert code == 1
    assert "it is no file that can be read and written" in told
    assert "move it away: it is rebuilt" in told
    assert "builds one" not in told


@pytest.mark.parametrize("name", ["doctor", "reindex"])
def test_a_state_db_folder_that_is_not_a_folder_is_reported(
    home: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("kept")
    done = run(name, "--home", str(home), THREADSTORE_SQLITE_HOME=str(tmp_path / "file"))
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert "can't be written (Not a directory)" in told
    assert "THREADSTORE_SQLITE_HOME" in told


@pytest.mark.parametrize("name", ["repair", "reindex"])
def test_two_commands_at_once_both_succeed(home: Path, name: str) -> None:
    for year in ("2024", "2025"):
        lay_thread(home.with_name(year), year)
        shutil.copytree(home.with_name(year) / "sessions", home / "sessions", dirs_exist_ok=True)
    if name == "repair":
        assert run("reindex", "--home", str(home)).returncode == 0
    command = words(*COMMANDS[name], "--home", str(home))
    both = [
        subprocess.Popen(command, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    told = [one.communicate(timeout=100)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert not [text for text in told if "Traceback" in text]


def test_a_demo_beside_threads_is_refused_and_touches_nothing(home: Path) -> None:
    before = everything(home)
    code, told = said("demo", "--home", str(home))
    assert code == 2
    assert f"{home}: it holds threads" in told
    assert "leave --home out" in told
    assert everything(home) == before


def test_a_command_whose_reader_leaves_ends_without_a_traceback(home: Path) -> None:
    for command in (("doctor", "--home", str(home)), ("demo",)):
        process = subprocess.Popen(
            words(*command), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        process.stderr.close()
        process.wait(60)


# ---------------------------------------------------------------------------------------------- HTTP


@contextmanager
def serving(home: Path, address: str, **env: str) -> Generator[str]:
    """What a server over HTTP says first."""
    command = words("serve", "--home", str(home), "--http", address)
    process = subprocess.Popen(command, env=environment(**env), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield process.stderr.readline()
    finally:
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=60)[1]
        assert process.returncode == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_serving_http_logs_the_url_and_how_to_stop_it(tmp_path: Path, host: str) -> None:
    with serving(tmp_path, f"{host}:0") as line:
        found = re.search(rf"http://{host}:(\d+)/mcp", line)
        assert found is not None
        assert "stop it with Ctrl+C" in line
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        accept = {"accept": "application/json, text/event-stream"}
        assert httpx2.post(found[0], json=body, headers=accept).status_code == 200


def test_a_taken_port_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with serving(tmp_path, "127.0.0.1:0") as line:
        port = line.partition("127.0.0.1:")[2].partition("/")[0]
        code, told = said("serve", "--home", str(tmp_path / "other"), "--http", f"127.0.0.1:{port}")
    assert code == 2
    assert f"127.0.0.1:{port}: address already in use; stop what listens there, or pass another port" in told


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    env = {"THREADSTORE_TOKEN": "long enough, though"}
    for host in ("192.0.2.1", "nobody.invalid"):
        done = run("serve", "--home", str(tmp_path), "--http", f"{host}:{free_port()}", **env)
        assert done.returncode == 2
        assert "it is not an address of this machine" in done.stderr


@pytest.mark.parametrize("token", ["x" * 15, "  ", "x" * 15 + " "])
def test_beyond_this_machine_a_token_that_can_be_guessed_is_refused(tmp_path: Path, token: str) -> None:
    done = run("serve", "--home", str(tmp_path), "--http", f"0.0.0.0:{free_port()}", THREADSTORE_TOKEN=token)
    assert done.returncode == 2
    assert "at least 16 characters" in done.stderr
    assert token.strip() not in done.stderr or not token.strip()


def test_on_this_machine_any_token_will_do_and_beyond_it_one_of_16_characters(tmp_path: Path) -> None:
    with serving(tmp_path, "127.0.0.1:0", THREADSTORE_TOKEN="short") as line:
        assert "THREADSTORE_TOKEN as a bearer token" in line
    with serving(tmp_path, "0.0.0.0:0", THREADSTORE_TOKEN="x" * 16) as line:
        assert "THREADSTORE_TOKEN as a bearer token" in line
        assert "0.0.0.0" not in line
