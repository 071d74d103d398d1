"""Memory written to a file and brought back, and what may happen in the middle of it."""

import pytest

from orchestrator.errors import HypervisorError, Interrupted
from orchestrator.formats import domainxml, saveimage
from orchestrator.model import Domain, GuestState, OffReason, Source
from orchestrator.ports import Hypervisor, silent
from tests.contract.hosts import ContractHost
from tests.contract.overlays import restore, stack

NUMBER, FLIPPED = 50617284, 50617285
"""Of eight digits, so that nothing else in a guest is spelled like them; one bit of the last digit tells them apart."""

ABORTING = ["twin", pytest.param("box", marks=[pytest.mark.system, pytest.mark.long])]
"""libvirtd 9.0 crashes now and then when a save is aborted that is held up: `ABORTED_SAVES` in tests/system."""


def header(hypervisor: Hypervisor, path: str) -> saveimage.Header:
    return saveimage.parse_header(hypervisor.storage.read(path, 0, saveimage.HEADER_LENGTH))


def is_whole(hypervisor: Hypervisor, path: str) -> bool:
    return saveimage.is_whole(hypervisor.storage.read(path, 0, saveimage.HEADER_LENGTH))


def memory_begins(hypervisor: Hypervisor, path: str) -> int:
    return saveimage.HEADER_LENGTH + header(hypervisor, path).data_length


def booted(host: ContractHost) -> Domain:
    """A guest with more memory to save than the pipe takes in which `fragile_host` holds up its saves.

    The little memory of one that just starts is in the pipe's last part at once, and for that part
    QEMU holds its big lock: no monitor command, an abort least of all, is answered until it is through.
    """
    domain, _ = host.manned_guest(disks=1)
    return domain


def seen(host: ContractHost, domain: Domain) -> Domain:
    found = host.hypervisor.domains.get(domain.uuid)
    assert found is not None
    return found


# ---------------------------------------------------------------------- save


def test_a_save_leaves_a_whole_image_and_a_domain_that_is_off(host: ContractHost) -> None:
    domain, path = host.guest(disks=2), f"{host.directory()}.save"
    host.hypervisor.domains.save(domain.uuid, path, silent)
    assert (seen(host, domain).state, seen(host, domain).off_reason) == (GuestState.OFF, OffReason.SAVED)
    image = header(host.hypervisor, path)
    assert image.whole and image.was_running
    facts = host.hypervisor.storage.stat(path)
    assert facts and facts.mode == 0o600 and facts.physical > saveimage.HEADER_LENGTH + image.data_length
    saved = domainxml.definition(host.hypervisor.domains.saved_definition(path))
    assert (saved.uuid, saved.name, saved.run_id) == (domain.uuid, domain.name, None)
    assert [disk.source for disk in saved.disks] == [disk.source for disk in domain.disks]


def test_a_paused_guest_is_saved_as_paused(host: ContractHost) -> None:
    domain, path = host.guest(), f"{host.directory()}.save"
    host.suspend(domain.name)
    host.hypervisor.domains.save(domain.uuid, path, silent)
    assert not header(host.hypervisor, path).was_running


def test_save_overwrites_an_existing_image(host: ContractHost) -> None:
    """F3."""
    one, other, path = host.guest(), host.guest(), f"{host.directory()}.save"
    for domain in (one, other):
        host.hypervisor.domains.save(domain.uuid, path, silent)
    assert domainxml.definition(host.hypervisor.domains.saved_definition(path)).uuid == other.uuid


def test_a_save_without_room_leaves_nothing_of_the_image_it_replaces(host: ContractHost) -> None:
    """F3."""
    hypervisor, domain, directory = host.hypervisor, host.guest(), host.separate_directory()
    first, path = f"{host.directory()}.save", f"{directory}/memory.save"
    hypervisor.domains.save(domain.uuid, first, silent)
    # Of an image all but the memory: room that suffices for two of them does not suffice for the next one.
    hypervisor.storage.write(path, hypervisor.storage.read(first, 0, memory_begins(hypervisor, first)))
    assert domainxml.definition(hypervisor.domains.saved_definition(path)).uuid == domain.uuid
    host.fill(directory)
    host.start(domain.name)
    with pytest.raises(HypervisorError):
        hypervisor.domains.save(domain.uuid, path, silent)
    assert seen(host, domain).state is GuestState.RUNNING
    assert hypervisor.storage.stat(path) is not None
    with pytest.raises(HypervisorError):
        hypervisor.domains.saved_definition(path)


@pytest.mark.parametrize("fragile_host", ABORTING, indirect=True)
def test_save_interrupted_keeps_the_guest_running(fragile_host: ContractHost) -> None:
    domain, path = booted(fragile_host), f"{fragile_host.directory()}.save"
    told: list[tuple[str, int, int]] = []

    def interrupt(what: str, done: int, total: int) -> None:
        if told:
            let_go()  # between two reports the hypervisor has been asked to abort the save
        told.append((what, done, total))
        raise KeyboardInterrupt

    with fragile_host.held_save() as let_go, pytest.raises(Interrupted):
        fragile_host.hypervisor.domains.save(domain.uuid, path, interrupt)
    assert all(what == "save" and 0 <= done <= total for what, done, total in told)
    after = seen(fragile_host, domain)
    assert (after.state, after.run_id, after.job) == (GuestState.RUNNING, domain.run_id, None)
    assert fragile_host.hypervisor.storage.stat(path) is None


def test_save_without_space_keeps_the_guest_running_and_leaves_no_file(host: ContractHost) -> None:
    """F6."""
    domain, path = host.guest(), f"{host.small_directory()}/memory.save"
    with pytest.raises(HypervisorError):
        host.hypervisor.domains.save(domain.uuid, path, silent)
    assert (seen(host, domain).state, seen(host, domain).run_id) == (GuestState.RUNNING, domain.run_id)
    assert host.hypervisor.storage.stat(path) is None


def test_save_continues_when_its_client_dies(fragile_host: ContractHost) -> None:
    """F4."""
    domain, path = booted(fragile_host), f"{fragile_host.directory()}.save"
    with fragile_host.abandoned_save(domain, path):
        busy = seen(fragile_host, domain)
        assert (busy.state, busy.job) == (GuestState.BUSY, "save")
        assert not is_whole(fragile_host.hypervisor, path)
    fragile_host.hypervisor.domains.wait_for_job(domain.uuid)
    assert seen(fragile_host, domain).off_reason is OffReason.SAVED
    assert header(fragile_host.hypervisor, path).whole


def test_save_daemon_killed_keeps_the_guest_running(fragile_host: ContractHost) -> None:
    """F5."""
    domain, path = booted(fragile_host), f"{fragile_host.directory()}.save"
    with fragile_host.abandoned_save(domain, path):
        fragile_host.restart_daemon()
        fragile_host.hypervisor.domains.wait_for_job(domain.uuid)
        after = seen(fragile_host, domain)
        assert (after.state, after.run_id) == (GuestState.RUNNING, domain.run_id)
        assert not is_whole(fragile_host.hypervisor, path)
        with pytest.raises(HypervisorError):
            fragile_host.hypervisor.domains.saved_definition(path)


# ---------------------------------------------------------------------- restore


def test_a_restored_guest_is_paused_on_the_disks_it_was_given(host: ContractHost) -> None:
    domain, path = host.guest(disks=2), f"{host.directory()}.save"
    host.hypervisor.domains.save(domain.uuid, path, silent)
    sources = stack(host.hypervisor, domain, host.directory())
    restore(host.hypervisor, path, sources)
    after = seen(host, domain)
    assert (after.state, after.job) == (GuestState.PAUSED, None)
    assert after.run_id not in (None, domain.run_id)
    assert after.sources() == {target: source.path for target, source in sources.items()}
    host.hypervisor.domains.resume(domain.uuid)
    assert seen(host, domain).state is GuestState.RUNNING


def test_a_restored_guest_starts_on_the_disks_it_had_before(host: ContractHost) -> None:
    """F8: and writes to what a checkpoint relies on, unless its definition is put right."""
    hypervisor, path = host.hypervisor, f"{host.directory()}.save"
    domain, operator = host.manned_guest(disks=1)
    operator.remember(1)
    hypervisor.domains.save(domain.uuid, path, silent)
    frozen = domain.disks[0].path or ""
    digest = hypervisor.storage.sha256(frozen, silent)
    sources = stack(hypervisor, domain, host.directory())
    restore(hypervisor, path, sources)
    hypervisor.domains.resume(domain.uuid)
    operator.remember(2)
    assert seen(host, domain).sources() == {"vda": sources["vda"].path}
    assert seen(host, domain).persistent_sources() == {"vda": frozen}
    hypervisor.domains.destroy(domain.uuid)
    assert hypervisor.storage.sha256(frozen, silent) == digest
    operator.boot()
    operator.remember(3)
    assert seen(host, domain).sources() == {"vda": frozen}
    hypervisor.domains.destroy(domain.uuid)
    assert hypervisor.storage.sha256(frozen, silent) != digest


def test_a_restored_run_has_the_mark_it_was_started_with_and_no_other_run_has(host: ContractHost) -> None:
    hypervisor, path, again = host.hypervisor, f"{host.directory()}.save", f"{host.directory()}.save"
    domain = host.guest()
    hypervisor.domains.save(domain.uuid, path, silent)
    saved = hypervisor.domains.saved_definition(path)

    hypervisor.domains.restore(path, domainxml.with_run_mark(saved, "one"))

    assert domainxml.run_mark(seen(host, domain).xml) == "one"
    assert domainxml.run_mark(hypervisor.domains.definition(domain.uuid)) is None
    hypervisor.domains.save(domain.uuid, again, silent)
    saved = hypervisor.domains.saved_definition(again)
    assert domainxml.run_mark(saved) == "one"  # it goes into the next image, and is replaced there
    hypervisor.domains.restore(again, domainxml.with_run_mark(saved, "two"))
    assert domainxml.run_mark(seen(host, domain).xml) == "two"
    hypervisor.domains.destroy(domain.uuid)
    host.start(domain.name)
    assert domainxml.run_mark(seen(host, domain).xml) is None


def test_the_mark_of_a_run_outlives_the_daemon(fragile_host: ContractHost) -> None:
    hypervisor, path = fragile_host.hypervisor, f"{fragile_host.directory()}.save"
    domain = fragile_host.guest()
    hypervisor.domains.save(domain.uuid, path, silent)
    hypervisor.domains.restore(path, domainxml.with_run_mark(hypervisor.domains.saved_definition(path), "one"))

    fragile_host.restart_daemon()

    assert domainxml.run_mark(seen(fragile_host, domain).xml) == "one"


def test_an_image_can_be_restored_again_and_again(host: ContractHost) -> None:
    domain, path = host.guest(), f"{host.directory()}.save"
    host.hypervisor.domains.save(domain.uuid, path, silent)
    digest = host.hypervisor.storage.sha256(path, silent)
    for _ in range(3):
        restore(host.hypervisor, path, stack(host.hypervisor, domain, host.directory()))
        host.hypervisor.domains.destroy(domain.uuid)
    assert host.hypervisor.storage.sha256(path, silent) == digest


def test_restore_on_reverted_disks_restores_both(host: ContractHost) -> None:
    hypervisor, path = host.hypervisor, f"{host.directory()}.save"
    domain, operator = host.manned_guest(disks=2)
    operator.remember(1)
    hypervisor.domains.save(domain.uuid, path, silent)
    for number in (2, 3):
        restore(hypervisor, path, stack(hypervisor, domain, host.directory()))
        hypervisor.domains.resume(domain.uuid)
        assert operator.recall() == (1, [1, 1])
        operator.remember(number)
        hypervisor.domains.destroy(domain.uuid)


def test_restore_onto_changed_disks_succeeds(host: ContractHost) -> None:
    """F1: the very reason why there is snapctl."""
    hypervisor, path = host.hypervisor, f"{host.directory()}.save"
    domain, operator = host.manned_guest(disks=1)
    operator.remember(1)
    hypervisor.domains.save(domain.uuid, path, silent)
    saved = hypervisor.domains.saved_definition(path)
    hypervisor.domains.restore(path, saved)
    hypervisor.domains.resume(domain.uuid)
    operator.remember(2)
    hypervisor.domains.destroy(domain.uuid)
    hypervisor.domains.restore(path, saved)
    hypervisor.domains.resume(domain.uuid)
    memory, disks = operator.recall()
    assert (memory, disks) != (2, [2])
    assert memory == 1


def test_restore_of_altered_memory_succeeds(host: ContractHost) -> None:
    """F2: the number is in pages of the guest's memory, and one bit of it is flipped."""
    hypervisor, path = host.hypervisor, f"{host.directory()}.save"
    domain, operator = host.manned_guest(disks=1)
    operator.remember(NUMBER)
    hypervisor.domains.save(domain.uuid, path, silent)
    before, digest = hypervisor.storage.stat(path), hypervisor.storage.sha256(path, silent)
    host.alter(path, str(NUMBER), str(FLIPPED))
    after = hypervisor.storage.stat(path)
    assert before and after and before.physical == after.physical
    restore(hypervisor, path, stack(hypervisor, domain, host.directory()))
    hypervisor.domains.resume(domain.uuid)
    assert operator.recall() == (FLIPPED, [NUMBER])
    assert hypervisor.storage.sha256(path, silent) != digest


@pytest.mark.parametrize("length", [1, 4096])
def test_restore_of_truncated_memory_succeeds(host: ContractHost, length: int) -> None:
    """F2."""
    hypervisor, path = host.hypervisor, f"{host.directory()}.save"
    domain, operator = host.manned_guest(disks=1)
    operator.remember(1)
    hypervisor.domains.save(domain.uuid, path, silent)
    before = hypervisor.storage.stat(path)
    host.cut(path, length)
    after = hypervisor.storage.stat(path)
    assert before and after and before.physical - after.physical == length
    restore(hypervisor, path, stack(hypervisor, domain, host.directory()))
    hypervisor.domains.resume(domain.uuid)
    assert operator.recall() == (1, [1])


def test_restore_onto_altered_layer_succeeds(host: ContractHost) -> None:
    """F9: with its time of last change put back, only reading the whole of it tells."""
    hypervisor, path = host.hypervisor, f"{host.directory()}.save"
    domain, operator = host.manned_guest(disks=1)
    operator.remember(NUMBER)
    hypervisor.domains.save(domain.uuid, path, silent)
    base = domain.disks[0].path or ""
    before, digest = hypervisor.storage.stat(base), hypervisor.storage.sha256(base, silent)
    assert before
    host.alter(base, str(NUMBER), str(FLIPPED))
    assert hypervisor.storage.stat(base) != before
    host.set_back(before)
    assert hypervisor.storage.stat(base) == before
    restore(hypervisor, path, stack(hypervisor, domain, host.directory()))
    hypervisor.domains.resume(domain.uuid)
    assert operator.recall() == (NUMBER, [FLIPPED])
    assert hypervisor.storage.sha256(base, silent) != digest


def test_a_guest_without_room_for_what_it_writes_is_paused(host: ContractHost) -> None:
    """F7."""
    hypervisor, path, directory = host.hypervisor, f"{host.directory()}.save", host.separate_directory()
    domain, operator = host.manned_guest(disks=1)
    operator.remember(1)
    hypervisor.domains.save(domain.uuid, path, silent)
    restore(hypervisor, path, stack(hypervisor, domain, directory))
    host.fill(directory)
    hypervisor.domains.resume(domain.uuid)
    assert operator.recall() == (1, [1])
    operator.try_to_remember(2)
    after = seen(host, domain)
    assert (after.state, after.job, after.run_id is not None) == (GuestState.IO_ERROR, None, True)


def test_a_domain_that_runs_is_not_restored(host: ContractHost) -> None:
    domain, path = host.guest(), f"{host.directory()}.save"
    host.hypervisor.domains.save(domain.uuid, path, silent)
    host.start(domain.name)
    running = seen(host, domain)
    with pytest.raises(HypervisorError):
        restore(host.hypervisor, path, {})
    assert seen(host, domain).run_id == running.run_id


def test_a_restore_without_one_of_its_layers_fails(host: ContractHost) -> None:
    domain, path, directory = host.guest(), f"{host.directory()}.save", host.directory()
    host.hypervisor.domains.save(domain.uuid, path, silent)
    host.hypervisor.storage.make_directory(directory)
    with pytest.raises(HypervisorError):
        restore(host.hypervisor, path, {"vda": Source(path=f"{directory}/missing.qcow2", format="qcow2")})
    after = seen(host, domain)
    assert (after.state, after.off_reason) == (GuestState.OFF, OffReason.FAILED)


def test_restore_memory_of_another_domain_is_refused(host: ContractHost) -> None:
    domain, path = host.guest(), f"{host.directory()}.save"
    host.hypervisor.domains.save(domain.uuid, path, silent)
    saved = host.hypervisor.domains.saved_definition(path)
    with pytest.raises(HypervisorError):
        host.hypervisor.domains.restore(path, saved.replace(domain.name, f"{domain.name}-clone"))
    assert seen(host, domain).state is GuestState.OFF


def test_a_file_that_is_no_image_is_not_restored(host: ContractHost) -> None:
    domain = host.guest()
    base = domain.disks[0].path
    assert base is not None
    host.hypervisor.domains.destroy(domain.uuid)
    with pytest.raises(HypervisorError):
        host.hypervisor.domains.saved_definition(base)
    with pytest.raises(HypervisorError):
        host.hypervisor.domains.restore(base, host.hypervisor.domains.definition(domain.uuid))


def test_restore_saved_transient_domain_is_transient_again(host: ContractHost) -> None:
    domain, path = host.guest(persistent=False), f"{host.directory()}.save"
    host.hypervisor.domains.save(domain.uuid, path, silent)
    assert host.hypervisor.domains.get(domain.uuid) is None
    restore(host.hypervisor, path, stack(host.hypervisor, domain, host.directory()))
    assert (seen(host, domain).state, seen(host, domain).persistent) == (GuestState.PAUSED, False)


def test_waiting_for_no_job_returns_at_once(host: ContractHost) -> None:
    domain = host.guest()
    host.hypervisor.domains.wait_for_job(domain.uuid)
    assert seen(host, domain) == seen(host, domain)
