"""Settings: where they come from, which one counts, and what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import SnapctlError, UsageError
from orchestrator.model import After
from orchestrator.settings import Document, Places, Settings, load, resolve

ROOT = Path(__file__).parents[2]
USER = Places(configs=(), data=Path("/home/ann/data"), root=False)
SUPERUSER = Places(configs=(), data=Path("/root/data"), root=True)


def document(**table: object) -> Document:
    return Document(name="a.toml", table=table, readable_by_others=False)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """No configuration yet, neither the system's nor the user's."""
    return Places(configs=(tmp_path / "system.toml", tmp_path / "user.toml"), data=tmp_path / "data", root=False)


def load_from(places: Places, **options: str | None) -> Settings:
    return load(environ={}, places=places, **options)


# --------------------------------------------------------------------------- defaults


def test_defaults_of_a_user() -> None:
    found = resolve([], {}, USER)
    assert found.uri == "qemu:///system"
    assert found.catalog == "sqlite:////home/ann/data/catalog.sqlite"
    assert (found.store.path, found.store.reserve_mib) == ("/var/lib/libvirt/images/snapctl", 64)
    assert (found.job.timeout_s, found.checkpoint.after) == (600, After.AS_SAVED)


def test_root_s_catalog_is_the_system_s() -> None:
    assert resolve([], {}, SUPERUSER).catalog == "sqlite:////var/lib/snapctl/catalog.sqlite"


@pytest.mark.parametrize("uri", ["qemu:///session", "qemu+unix:///session?socket=/x", "qemu+ssh://h/session"])
def test_a_session_s_store_is_the_user_s(uri: str) -> None:
    assert resolve([], {"uri": uri}, USER).store.path == "/home/ann/data/store"
    assert resolve([document(uri=uri)], {}, USER).store.path == "/home/ann/data/store"
    assert resolve([document(store={"path": "/srv"})], {"uri": uri}, USER).store.path == "/srv"


def test_places_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    found = Places.of_this_user()
    assert found.configs == (Path("/etc/snapctl/snapctl.toml"), tmp_path / "c" / "snapctl" / "snapctl.toml")
    assert found.data == tmp_path / "d" / "snapctl"
    assert found.root == (os.geteuid() == 0)


def test_the_documented_file_holds_every_key_at_its_default() -> None:
    import msgspec

    table = msgspec.toml.decode((ROOT / "config" / "snapctl.toml").read_bytes())
    assert table == msgspec.json.decode(msgspec.json.encode(resolve([], {}, SUPERUSER)))


# --------------------------------------------------------------------------- prune


def test_a_policy_is_checked_when_it_is_read() -> None:
    assert resolve([document(prune={"keep_within": "3d"})], {}, USER).prune.keep_within == "3d"
    with pytest.raises(UsageError, match=r"a\.toml: prune\.keep_within: '3 days' is not a length of time"):
        resolve([document(prune={"keep_within": "3 days"})], {}, USER)
    with pytest.raises(UsageError, match=r"a\.toml: prune\.keep_last: expected `?int"):
        resolve([document(prune={"keep_last": -1})], {}, USER)


# --------------------------------------------------------------------------- precedence


def test_later_files_override_single_keys(places: Places, tmp_path: Path) -> None:
    places.configs[0].write_text('[store]\npath = "/system"\nreserve_mib = 1\n[job]\ntimeout_s = 1\n')
    places.configs[1].write_text("[store]\nreserve_mib = 2\n[job]\ntimeout_s = 2\n")
    named = tmp_path / "named.toml"
    named.write_text("[job]\ntimeout_s = 3\n")
    found = load_from(places, config=str(named))
    assert (found.store.path, found.store.reserve_mib, found.job.timeout_s) == ("/system", 2, 3)
    assert load_from(places).job.timeout_s == 2


def test_the_uri_s_sources_in_their_order(places: Places) -> None:
    environ = {"SNAPCTL_URI": "two:///", "LIBVIRT_DEFAULT_URI": "three:///"}
    places.configs[1].write_text('uri = "four:///"')
    assert load(connect="one:///", environ=environ, places=places).uri == "one:///"
    assert load(environ=environ, places=places).uri == "two:///"
    assert load(environ=environ | {"SNAPCTL_URI": ""}, places=places).uri == "three:///"
    assert load(environ={}, places=places).uri == "four:///"
    places.configs[1].unlink()
    assert load(environ={}, places=places).uri == "qemu:///system"


def test_the_catalog_s_option_is_above_the_configuration(places: Places) -> None:
    places.configs[1].write_text('catalog = "sqlite:////a"')
    assert load_from(places).catalog == "sqlite:////a"
    assert load_from(places, catalog="sqlite:////b").catalog == "sqlite:////b"


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("table", "key", "nearest"),
    [
        ({"url": "x"}, "url", "uri"),
        ({"stor": {}}, "stor", "store"),
        ({"store": {"reserve": 1}}, "store.reserve", "store.reserve_mib"),
        ({"job": {"time_out": 1}}, "job.time_out", "job.timeout_s"),
        ({"checkpoint": {"äfter": 1}}, "checkpoint.äfter", "checkpoint.after"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(table: dict[str, object], key: str, nearest: str) -> None:
    with pytest.raises(UsageError) as refusal:
        resolve([document(**table)], {}, USER)
    assert refusal.value.problem == f"a.toml: unknown key {key}"
    assert refusal.value.hint == f"the nearest known one is {nearest}"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"uri": 5}, "uri: expected str, got int"),
        ({"uri": ""}, "uri: expected str of length >= 1"),
        ({"store": "x"}, "store: expected a table, got str"),
        ({"store": {"path": ["/a"]}}, "store.path: expected str, got array"),
        ({"store": {"reserve_mib": -1}}, "store.reserve_mib: expected int >= 0"),
        ({"store": {"reserve_mib": "ten"}}, "store.reserve_mib: expected int, got str"),
        ({"job": {"timeout_s": 0}}, "job.timeout_s: expected int >= 1"),
        ({"job": {"timeout_s": 10**12}}, "job.timeout_s: expected int <= 2147483647"),
        ({"job": {"timeout_s": 1.5}}, "job.timeout_s: expected int, got float"),
        ({"job": {"timeout_s": True}}, "job.timeout_s: expected int, got bool"),
        ({"checkpoint": {"after": "sleep"}}, "checkpoint.after: invalid enum value 'sleep'"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(table: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        resolve([document(**table)], {}, USER)
    assert refusal.value.problem == f"a.toml: {complaint}"


def test_the_file_at_fault_is_named() -> None:
    good, bad = document(job={"timeout_s": 5}), replace(document(job={"timeout_s": "5"}), name="b.toml")
    with pytest.raises(UsageError, match=r"^b\.toml: job\.timeout_s"):
        resolve([good, bad, good], {}, USER)


@pytest.mark.parametrize("path", ["", "store", "~/store", "/a/../b", "/a\nb", "/a\x00b"])
def test_resolve_store_path_not_plain_absolute_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match=r"store\.path"):
        resolve([document(store={"path": path})], {}, USER)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"uri = ", "is not TOML"),
        (b"uri = '\xff'", "is not TOML"),
        (b"\x00" * 100, "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"# " + b"x" * 2**20, "longer than 1 MiB"),
    ],
)
def test_load_malformed_file_is_refused(places: Places, content: bytes, complaint: str) -> None:
    places.configs[1].write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as refusal:
        load_from(places)
    assert len(str(refusal.value)) <= 400


def test_a_file_that_cannot_be_read_is_not_passed_over(places: Places) -> None:
    places.configs[1].mkdir()
    with pytest.raises(UsageError, match="cannot read"):
        load_from(places)


def test_load_missing_named_file_is_refused(places: Places, tmp_path: Path) -> None:
    load_from(places)
    with pytest.raises(UsageError, match="there is no configuration file"):
        load_from(places, config=str(tmp_path / "none.toml"))


def test_a_device_that_never_ends_is_not_read_to_its_end(places: Places) -> None:
    with pytest.raises(UsageError, match="longer than 1 MiB"):
        load_from(places, config="/dev/zero")


# --------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "url",
    ["postgresql://ann:hunter2@db/x", "postgresql://db/x?user=ann&password=hunter2", "postgresql://:hunter2@db/x"],
)
def test_load_password_in_readable_file_is_refused(places: Places, url: str) -> None:
    places.configs[1].write_text(f'catalog = "{url}"')
    places.configs[1].chmod(0o640)
    assert load_from(places).catalog == url
    places.configs[1].chmod(0o644)
    with pytest.raises(UsageError) as refusal:
        load_from(places)
    assert f"chmod o-rwx {places.configs[1]}" in str(refusal.value)
    assert "hunter2" not in str(refusal.value.as_dict())


def test_load_open_file_without_a_password_is_allowed(places: Places) -> None:
    places.configs[1].write_text('catalog = "postgresql://ann@db:5432/x?sslmode=require"')
    places.configs[1].chmod(0o644)
    load_from(places)


# --------------------------------------------------------------------------- anything

scalars = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))
keys = st.one_of(st.sampled_from(["uri", "catalog", "store", "job", "path", "timeout_s", "after"]), st.text())


@settings(deadline=None)
@given(st.dictionaries(keys, st.recursive(scalars, lambda below: st.dictionaries(keys, below), max_leaves=5)))
def test_any_table_gives_settings_or_a_refusal(table: dict[str, object]) -> None:
    try:
        found = resolve([document(**table)], {}, USER)
    except SnapctlError as refusal:
        assert refusal.exit_code == 2
        assert len(str(refusal)) <= 400
    else:
        assert found.store.path.startswith("/")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_file_gives_settings_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "snapctl.toml"
    file.write_bytes(content)
    try:
        load(config=file, environ={}, places=USER)
    except SnapctlError as refusal:
        assert refusal.exit_code == 2
