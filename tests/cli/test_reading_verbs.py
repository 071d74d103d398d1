"""list, tree and show: golden output for people, documents for programs."""

from __future__ import annotations

from datetime import UTC, datetime

from .conftest import Run
from .standin import StandIn, unfinished

LIST = """\
   NAME          PARENT      CREATED      MEMORY    DISKS     FREES  STATE     TAGS         DESCRIPTION
   base                      3 d ago    95.0 MiB  1.5 MiB  96.0 MiB            base,debian  fresh install
   experiment    base        5 h ago    95.0 MiB  1.5 MiB  96.0 MiB
   experiment-2  experiment  4 h ago    95.0 MiB  1.5 MiB  96.0 MiB  deleting
   patched       base        2 h ago    95.0 MiB  1.5 MiB  96.0 MiB                         all updates of May
*  before-test   patched     3 min ago  95.0 MiB  1.5 MiB  96.0 MiB  unhashed
"""

TREE = """\
web01
○ base                                   95.0 MiB  + 1.5 MiB  3 d ago    [base, debian]  fresh install
├─○ experiment                           95.0 MiB  + 1.5 MiB  5 h ago
│ ○ experiment-2 (deleting)              95.0 MiB  + 1.5 MiB  4 h ago
○ patched                                95.0 MiB  + 1.5 MiB  2 h ago                    all updates of May
● before-test (unhashed) (you are here)  95.0 MiB  + 1.5 MiB  3 min ago
"""

SHOW = """\
  id           id-patched
  state        ready
  created      {created} UTC (2 h ago)
  parent       base
  children     next
  description  all updates of May
  guest was    running
  memory       95.0 MiB, /store/id-patched/memory.save
  sha256       {sha256}
  disk vda     qcow2, 1.5 MiB of 10.0 GiB, /store/old/vda.qcow2
  disk sda     cdrom, read-only, not frozen: empty
  space        frees 96.0 MiB if deleted alone; 512.0 KiB shared with others
  machine      pc-q35-7.2
  host         hv1, 6f1c0b5e-0000-4000-8000-000000000001
  made with    libvirt 9.0.0, QEMU 7.2.0
"""


def test_list_of_one_domain(run: Run) -> None:
    result = run("list", "web01")
    assert (result.code, result.out, result.err) == (0, LIST, "")


def test_list_of_all_domains_names_them(run: Run) -> None:
    lines = run("list").out.splitlines()
    assert lines[0].split()[:2] == ["DOMAIN", "NAME"]
    assert [line.split()[:3] for line in lines if line.startswith("*")] == [
        ["*", "web01", "before-test"],
        ["*", "db", "empty"],
    ]


def test_an_empty_list_says_so_to_people_only(run: Run, world: StandIn) -> None:
    world.checkpoints.clear()
    result = run("list")
    assert (result.code, result.out) == (0, "")
    assert "no checkpoints yet" in result.err
    assert run("list", "-q").err == ""
    assert run("list", "-o", "json").json == []


def test_list_as_json_is_an_array_with_what_was_promised(run: Run) -> None:
    result = run("list", "web01", "-o", "json")
    first = result.json[0]
    promised = (
        "domain name id parent created mode tags description current memory_bytes disk_bytes exclusive_bytes state"
    )
    assert set(promised.split()) <= set(first)
    assert first["tags"] == ["base", "debian"]
    assert first["created"].endswith("Z")
    assert datetime.fromisoformat(first["created"]).tzinfo == UTC
    assert [each["name"] for each in result.json if each["current"]] == ["before-test"]
    assert result.err == ""


def test_tree(run: Run) -> None:
    assert run("tree", "web01").out == TREE


def test_tree_as_json_has_the_drawing_s_order_and_depth(run: Run, world: StandIn) -> None:
    world.operations.append(unfinished())
    document = run("tree", "-o", "json").json
    assert [each["domain"] for each in document] == ["web01", "db"]
    assert [(each["name"], each["depth"]) for each in document[0]["checkpoints"]] == [
        ("base", 0),
        ("experiment", 1),
        ("experiment-2", 2),
        ("patched", 1),
        ("before-test", 2),
    ]
    assert document[0]["unfinished"][0]["step"] == "stopped"
    assert document[1]["unfinished"] == []


def test_an_unfinished_operation_is_shown_with_the_way_out(run: Run, world: StandIn) -> None:
    world.operations.append(unfinished())
    note = (
        "web01: unfinished rollback (step stopped, begun 2 min ago by ann@desk, pid 4711); "
        "settle it: snapctl recover web01\n"
    )
    for verb in (["list"], ["tree"], ["show", "web01", "base"]):
        result = run(*verb)
        assert result.err == note
        assert "pid" not in result.out
    assert run("tree").out.startswith("web01 (unfinished rollback: stopped)\n")


def test_a_domain_with_nothing_but_an_unfinished_operation_is_in_the_tree(run: Run, world: StandIn) -> None:
    world.checkpoints.clear()
    world.operations.append(unfinished(domain="db"))
    assert run("tree").out == "db (unfinished rollback: stopped)\n"


def test_show(run: Run, world: StandIn) -> None:
    created = next(each.created for each in world.checkpoints if each.name == "patched")
    expected = "web01 patched\n" + SHOW.format(created=f"{created:%Y-%m-%d %H:%M:%S}", sha256="ab" * 32)
    assert run("show", "web01", "patched").out == expected


def test_show_as_json_is_the_list_s_object_and_more(run: Run) -> None:
    listed = next(each for each in run("list", "-o", "json").json if each["name"] == "patched")
    shown = run("show", "web01", "patched", "-o", "json").json
    assert {key: shown[key] for key in listed} == listed
    assert shown["memory"]["path"] == "/store/id-patched/memory.save"
    assert shown["memory"]["sha256"] == "ab" * 32
    assert [(disk["target"], disk["format"], bool(disk["layer"])) for disk in shown["disks"]] == [
        ("vda", "qcow2", True),
        ("sda", None, False),
    ]
    assert shown["host"]["name"] == "hv1"


def test_what_a_terminal_might_obey_is_shown_escaped(run: Run, world: StandIn) -> None:
    world.add("odd", description="red \x1b[31m and \u202e back\nsecond line")
    for verb in (["list"], ["tree"], ["show", "web01", "odd"]):
        out = run(*verb).out
        assert "\x1b" not in out and "\u202e" not in out
        assert r"red \x1b[31m and \u202e back second line" in out
