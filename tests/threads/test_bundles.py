"""A tree goes from one home to another in a bundle: all of it, unchanged but for what was asked for."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.errors import (
    ActiveWriter,
    EphemeralThread,
    InvalidArgument,
    NotMaterialized,
    StoreFailure,
    ThreadNotFound,
    WriteFailed,
)
from mcp_server.models.params import ExportParams, ImportParams, ReadParams, StartParams, ThreadPatch
from mcp_server.models.results import ExportResult, ImportResult
from mcp_server.sync.reconciler import sync
from mcp_server.threads.service import ThreadService
from tests.faults import Faults, Killed
from tests.stores.rollout_text import context, event, line, meta, text_of, user
from tests.threads.conftest import CLIENT, Home, Homes, hello, load

ROOT = "01a20581-0000-7000-8000-00000000aaaa"
KID = "01a20581-0000-7000-8000-00000000bbbb"
FORK = "01a20581-0000-7000-8000-00000000cccc"


def exported(service: ThreadService, thread: str, *, redact: bool = False) -> tuple[bytes, ExportResult]:
    out = io.BytesIO()
    result = service.exporter.run(ExportParams(thread, "bundle", redact), out.write)
    return out.getvalue(), result


def imported(service: ThreadService, bundle: bytes, *folders: tuple[str, str], dry_run: bool = False) -> ImportResult:
    return service.importer.run(io.BytesIO(bundle), ImportParams(folders, dry_run))


def manifest_of(bundle: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return json.loads(archive.read("manifest.json"))


def data_of(home: Home, thread_id: str) -> bytes:
    row = home.state.get(thread_id)
    assert row is not None
    return home.rollouts.read(rollout_of(row), [(0, row.stamp.size)])[0]


def plant(home: Home, thread_id: str, *lines: dict[str, Any], **fields: Any) -> str:
    """A rollout with these lines after its metadata."""
    path = home.rollouts.new(thread_id, 1_795_388_688_000).path
    home.rollouts.create(RolloutRef(path), text_of(meta(thread_id, **fields), *lines))
    return path


def said(text: str) -> list[dict[str, Any]]:
    """A turn with one message in a paginated history."""
    message = {"type": "UserMessage", "id": "i", "content": [{"type": "text", "text": text}]}
    turn_id = f"turn {text[:8]}"
    return [
        event("task_started", turn_id=turn_id),
        event("item_completed", thread_id=ROOT, turn_id=turn_id, item=message),
        event("task_complete", turn_id=turn_id),
    ]


def turns(service: ThreadService, thread_id: str) -> list[Any]:
    return service.reader.read(ReadParams(thread_id, None, "full", limit=100)).turns


# ---------------------------------------------------------------------------------------------- there and back


def test_a_tree_is_the_same_in_its_new_home(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    root, kid, grandkid = home.plant(None, 0, 1)
    bundle, result = exported(home.service(), root)
    there = other.service()
    receipt = imported(there, bundle)
    assert (result.threads, receipt.total, receipt.new_ids) == (3, 3, 0)
    assert other.standing() == home.standing()
    for thread_id in (root, kid, grandkid):
        assert data_of(other, thread_id) == data_of(home, thread_id)
        assert turns(there, thread_id) == turns(home.service(), thread_id)
    assert there.tree.show(root).tree == home.service().tree.show(root).tree
    assert other.told("thread/started") == [root, kid, grandkid]
    assert other.locked() == []


def test_names_tags_and_the_archive_come_along(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    root, kid = home.plant(None, 0)
    service = home.service()
    service.metadata.update(root, ThreadPatch("The checkout", tags=["shop", "race"]))
    service.metadata.update(kid, ThreadPatch("A helper"))
    service.cascade.archive(kid, dry_run=False, interrupt_running=False)
    there = other.service()
    imported(there, exported(service, root)[0])
    assert other.standing() == {root: False, kid: True}
    thread = there.reader.read(ReadParams(root)).thread
    assert (thread.name, thread.tags) == ("The checkout", ["race", "shop"])
    assert there.catalog.resolve("A helper") == kid


def test_a_fork_brings_what_it_borrows_and_reads_the_same(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    source = plant(home, ROOT, *said("in the source"), *said("after the fork"), history_mode="paginated")
    (text,) = home.rollouts.read(RolloutRef(source), [(0, 1 << 20)])
    end = text.index(b"\n", text.index(b"task_complete")) + 1
    base = {"thread_id": ROOT, "end_ordinal_exclusive": 2, "end_byte_offset": end}
    plant(home, FORK, *said("in the fork"), history_mode="paginated", forked_from_id=ROOT, history_base=base)
    service, there = home.service(), other.service()
    bundle, result = exported(service, FORK)
    receipt = imported(there, bundle, ("/w", "/a/much/longer/folder"))
    assert (result.threads, receipt.total) == (1, 2)
    assert [row.borrowed for row in receipt.data if row.thread_id == ROOT] == [True]
    assert turns(there, FORK) == turns(service, FORK)
    assert "in the source" in str(turns(there, FORK))
    assert "after the fork" not in str(turns(there, FORK))
    again = imported(there, bundle)
    assert turns(there, again.thread_id) == turns(service, FORK)


def test_an_export_does_not_change_the_home(home: Home) -> None:
    root, _ = home.plant(None, 0)
    before = home.standing(), home.state.last_seq()
    exported(home.service(), root)
    assert (home.standing(), home.state.last_seq()) == before


def test_the_manifest_tells_of_each_thread_and_file(home: Home) -> None:
    root, kid = home.plant(None, 0)
    manifest = manifest_of(exported(home.service(), root)[0])
    assert (manifest["format"], manifest["version"], manifest["root_id"]) == ("threadstore-bundle", 1, root)
    assert "redacted" not in manifest or manifest["redacted"] is None
    assert [(one["id"], one["parent_id"], one["cwd"]) for one in manifest["threads"]] == [
        (root, None, "/w"),
        (kid, root, "/w"),
    ]
    assert [one["rollouts"][0]["size"] for one in manifest["threads"]] == [
        len(data_of(home, root)),
        len(data_of(home, kid)),
    ]


texts = st.text(st.characters(codec="utf-8"), max_size=60)


@given(
    said=st.lists(texts, min_size=1, max_size=6), tail=st.sampled_from([b"", b"\n", b"\n\n", b'{"torn', b"\xff\xfe\n"])
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rollout_is_the_same_byte_for_byte(homes: Homes, said: Sequence[str], tail: bytes) -> None:
    home, other = homes.new(), homes.new()
    path = home.rollouts.new(ROOT, 1_795_388_688_000).path
    data = text_of(meta(ROOT), *map(user, said)) + tail
    home.rollouts.create(RolloutRef(path), data)
    bundle, _ = exported(home.service(), ROOT)
    assert imported(other.service(), bundle).new_ids == 0
    assert data_of(other, ROOT) == data
    second = imported(other.service(), bundle)
    assert data_of(other, second.thread_id) == data.replace(ROOT.encode(), second.thread_id.encode())
    assert turns(other.service(), ROOT) == turns(home.service(), ROOT)


# ---------------------------------------------------------------------------------------------- ids that are taken


def test_threads_whose_ids_are_taken_get_new_ones_all_over_the_tree(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    root, kid = home.plant(None, 0)
    bundle, _ = exported(home.service(), root)
    there = other.service()
    imported(there, bundle)
    before = {thread_id: data_of(other, thread_id) for thread_id in (root, kid)}
    receipt = imported(there, bundle)
    new_root, new_kid = (row.thread_id for row in receipt.data)
    assert [row.old_id for row in receipt.data] == [root, kid]
    assert receipt.new_ids == 2
    assert not {new_root, new_kid} & {root, kid}
    assert {thread_id: data_of(other, thread_id) for thread_id in (root, kid)} == before
    assert [node.thread_id for node in there.tree.show(new_root).nodes] == [new_root, new_kid]
    assert data_of(other, new_kid) == before[kid].replace(kid.encode(), new_kid.encode()).replace(
        root.encode(), new_root.encode()
    )
    assert len(other.standing()) == 4


def test_only_the_threads_whose_ids_are_taken_get_new_ones(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    root, kid = home.plant(None, 0)
    bundle, _ = exported(home.service(), root)
    other.write(kid)
    sync(other.rollouts, other.state)
    there = other.service()
    receipt = imported(there, bundle)
    assert [row.thread_id == old for row, old in zip(receipt.data, (root, kid), strict=True)] == [True, False]
    assert [node.thread_id for node in there.tree.show(root).nodes] == [row.thread_id for row in receipt.data]


def test_a_deleted_thread_comes_back_under_a_new_id(home: Home) -> None:
    (root,) = home.plant(None)
    service = home.service()
    bundle, _ = exported(service, root)
    service.cascade.delete(root, dry_run=False)
    receipt = imported(service, bundle)
    assert receipt.new_ids == 1
    assert list(home.standing()) == [receipt.thread_id]


# ---------------------------------------------------------------------------------------------- folders


def test_mapped_folders_are_those_that_codex_takes_when_it_resumes(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    applied = line("event_msg", {"type": "thread_settings_applied", "thread_settings": {"cwd": "/old/app"}})
    told = user("I work in /old/app")
    plant(
        home,
        ROOT,
        context(cwd="/old/app/sub", runtime_workspace_roots=["/old/app", "/oldest"]),
        applied,
        told,
        cwd="/old/app",
    )
    receipt = imported(
        other.service(), exported(home.service(), ROOT)[0], ("/old", "/home/me"), ("/old/app", "/srv/app")
    )
    assert (receipt.data[0].cwd, receipt.data[0].old_cwd) == ("/srv/app", "/old/app")
    lines = [json.loads(one) for one in data_of(other, ROOT).splitlines()]
    assert lines[0]["payload"]["cwd"] == "/srv/app"
    assert lines[1]["payload"]["cwd"] == "/srv/app/sub"
    assert lines[1]["payload"]["runtime_workspace_roots"] == ["/srv/app", "/oldest"]
    assert lines[2]["payload"]["thread_settings"]["cwd"] == "/srv/app"
    assert lines[3] == told
    assert data_of(other, ROOT).splitlines()[3] == data_of(home, ROOT).splitlines()[3]


@pytest.mark.parametrize("folders", [("old", "/new"), ("/old", "new"), ("/old", "")])
def test_folders_to_map_are_absolute(home: Home, folders: tuple[str, str]) -> None:
    (root,) = home.plant(None)
    with pytest.raises(InvalidArgument, match="absolute"):
        imported(home.service(), exported(home.service(), root)[0], folders)


# ---------------------------------------------------------------------------------------------- nothing by halves


def test_a_dry_run_tells_what_would_be_done_and_does_nothing(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    root, kid = home.plant(None, 0)
    bundle, _ = exported(home.service(), root)
    there = other.service()
    told = imported(there, bundle, dry_run=True)
    assert other.standing() == {}
    assert list(other.rollouts.walk()) == []
    assert [row.thread_id for row in told.data] == [root, kid]
    assert told.dry_run
    assert imported(there, bundle).data == told.data


def test_an_import_that_is_killed_at_any_point_is_there_as_a_whole_or_not_at_all(homes: Homes) -> None:
    home, empty = homes.new(), homes.new()
    root, kid, other_kid = home.plant(None, 0, 0)
    home.service().metadata.update(root, ThreadPatch("a name", tags=["a tag"]))
    bundle, _ = exported(home.service(), root)
    outcomes: set[int] = set()
    number = 0
    while True:
        number += 1
        target, faults = homes.copy(empty), Faults(number)
        with suppress(Killed):
            imported(target.service(faults), bundle)
        target.kill()
        again = target.service()
        again.importer.finish()
        target.start_again()
        standing = target.standing()
        outcomes.add(len(standing))
        assert standing in ({}, {root: False, kid: False, other_kid: False})
        if not standing:
            assert (target.rollouts.names(), target.tags.of([root])) == ({}, {})
            assert imported(again, bundle).new_ids == 0
        if not faults.raised:
            break
    assert outcomes == {0, 3}


def test_an_import_that_the_store_refuses_at_any_point_leaves_nothing(homes: Homes) -> None:
    home, empty = homes.new(), homes.new()
    root, *_ = home.plant(None, 0)
    home.service().metadata.update(root, ThreadPatch("a name", tags=["a tag"]))
    bundle, _ = exported(home.service(), root)
    number = 0
    while True:
        number += 1
        target, faults = homes.copy(empty), Faults(number, lambda: WriteFailed("it", "the disk is full"))
        failed = False
        try:
            imported(target.service(faults), bundle)
        except StoreFailure:
            failed = True
        if not faults.raised:
            break
        target.kill()
        target.service().importer.finish()
        target.start_again()
        is_late = faults.calls[number - 1] == "release"  # all is done by then
        taken_back = failed and not is_late
        assert len(target.standing()) == (0 if taken_back else 2)
        assert target.rollouts.names() == ({} if taken_back else {root: "a name"})
        assert target.tags.of([root]) == ({} if taken_back else {root: ("a tag",)})


def test_a_killed_import_in_which_somebody_has_worked_since_is_not_taken_back(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    root, kid = home.plant(None, 0)
    home.service().metadata.update(root, ThreadPatch("a name"))
    bundle, _ = exported(home.service(), root)
    with pytest.raises(Killed):
        imported(other.service(Faults(stop="set_name")), bundle)
    file = next(one for one in other.rollouts.walk() if one.thread_id == kid)
    other.rollouts.append(file, text_of(user("I go on")))
    other.kill()
    other.service().importer.finish()
    other.start_again()
    assert other.standing() == {root: False, kid: False}


def test_an_import_waits_for_nobody_who_holds_one_of_its_threads(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    (root,) = home.plant(None)
    bundle, _ = exported(home.service(), root)
    other.locks().acquire([root])
    with pytest.raises(ActiveWriter):
        imported(other.service(), bundle)
    assert list(other.rollouts.walk()) == []


# ---------------------------------------------------------------------------------------------- what can't be exported


def test_a_thread_that_does_not_exist_can_not_be_exported(home: Home) -> None:
    with pytest.raises(ThreadNotFound):
        exported(home.service(), ROOT)


@pytest.mark.parametrize(("ephemeral", "error"), [(True, EphemeralThread), (False, NotMaterialized)])
def test_a_thread_without_a_rollout_can_not_be_exported(home: Home, ephemeral: bool, error: type[Exception]) -> None:
    service = home.service()
    thread_id = service.lifecycle.start(StartParams(ephemeral=ephemeral), CLIENT).thread.id
    with pytest.raises(error):
        exported(service, thread_id)
    if ephemeral:
        service.turns.start(thread_id, hello())
        with pytest.raises(error):
            exported(service, thread_id)


def test_a_loaded_thread_is_exported_as_far_as_it_is_written(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    (root,) = home.plant(None)
    service = home.service()
    load(service, root)
    service.turns.start(root, hello("and on"))
    imported(other.service(), exported(service, root)[0])
    assert data_of(other, root) == data_of(home, root)
    assert "and on" in str(turns(other.service(), root))


def test_a_sub_agent_whose_rollout_is_gone_is_left_out_and_named(home: Home) -> None:
    root, kid = home.plant(None, 0)
    home.rollouts.remove(RolloutRef(home.path(kid)))
    _, result = exported(home.service(), root)
    assert result.threads == 1
    assert result.left_out == {kid: "it has no file"}


# ---------------------------------------------------------------------------------------------- secrets


TOKEN = "ghp_" + "a1B2" * 9


def test_a_redacted_bundle_holds_no_secret_and_says_what_was_masked(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    source = plant(home, ROOT, *said(f"the token is {TOKEN}"), *said("then"), history_mode="paginated")
    (text,) = home.rollouts.read(RolloutRef(source), [(0, 1 << 20)])
    base = {"thread_id": ROOT, "end_ordinal_exclusive": 3, "end_byte_offset": len(text)}
    plant(home, FORK, *said("in the fork"), history_mode="paginated", forked_from_id=ROOT, history_base=base)
    bundle, result = exported(home.service(), FORK, redact=True)
    assert result.masked == manifest_of(bundle)["redacted"] == {"github-token": 1}
    receipt = imported(other.service(), bundle)
    assert receipt.masked == {"github-token": 1}
    for thread_id in (ROOT, FORK):
        assert TOKEN.encode() not in data_of(other, thread_id)
        assert all(json.loads(one) for one in data_of(other, thread_id).splitlines())
    shown = str(turns(other.service(), FORK))
    assert "the token is [redacted:github-token]" in shown
    assert "then" in shown
    assert "in the fork" in shown


def test_a_redacted_bundle_masks_lines_that_are_no_json_too(homes: Homes) -> None:
    home, other = homes.new(), homes.new()
    path = home.rollouts.new(ROOT, 1_795_388_688_000).path
    home.rollouts.create(RolloutRef(path), text_of(meta(ROOT), user("x")) + f'{{"torn {TOKEN}'.encode() + b"\xff")
    imported(other.service(), exported(home.service(), ROOT, redact=True)[0])
    assert data_of(other, ROOT).endswith(b'{"torn [redacted:github-token]\xff')


def test_the_name_of_a_thread_is_masked_too(homes: Homes) -> None:
    home = homes.new()
    (root,) = home.plant(None)
    service = home.service()
    service.metadata.update(root, ThreadPatch(f"use {TOKEN}"))
    bundle, _ = exported(service, root, redact=True)
    assert manifest_of(bundle)["threads"][0]["name"] == "use [redacted:github-token]"
