"""Whatever listens, listens on loopback, unless somebody says otherwise."""

from __future__ import annotations

import ipaddress
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.hostile import JULY

if TYPE_CHECKING:
    from tests.hostile import Victim

_LISTENS = "0A"


def _children(process: int) -> set[int]:
    """The process and all that came of it."""
    found, new = set[int](), {process}
    while new:
        found |= new
        lists = [Path(f"/proc/{each}/task").glob("*/children") for each in new]
        new = {int(child) for paths in lists for path in paths for child in _text(path).split()} - found
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _listening(process: int) -> set[str]:
    """Addresses, without ports, at which the process or one that came of it listens, as the kernel tells."""
    sockets = set()
    for each in _children(process):
        for descriptor in Path(f"/proc/{each}/fd").glob("*"):
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            sockets |= set(re.findall(r"socket:\[(\d+)\]", target))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTENS and rest[5] in sockets:
                octets = bytes.fromhex(local.partition(":")[0])
                words = [octets[at : at + 4][::-1] for at in range(0, len(octets), 4)]
                found.add(str(ipaddress.ip_address(b"".join(words))))
    return found


def _loopback(addresses: set[str]) -> bool:
    return all(ipaddress.ip_address(each).is_loopback for each in addresses)


def test_the_simulator_is_on_loopback_unless_told_otherwise() -> None:
    for arguments, wanted in (((), {"127.0.0.1"}), (("--apart",), {"127.0.0.1"}), (("--host", "0.0.0.0"), {"0.0.0.0"})):
        command = [sys.executable, "-m", "aurum_etl", "simulate", "--port", "0", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert "=http://" in process.stdout.readline()
            assert _listening(process.pid) == wanted
            process.terminate()


def test_a_cluster_of_our_own_is_on_loopback(victim: Victim) -> None:
    """Whoever reaches a scheduler or a worker of Dask can have anything run; the pages about it are there as well."""
    command = [sys.executable, "-m", "aurum_etl", "backfill", "start", str(victim.spec), "--from", "2026-06-01"]
    command += ["--to", "2026-07-01", "--executor", "dask", "--workers", "2"]
    seen: set[str] = set()
    with subprocess.Popen(
        command, env=victim.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            seen |= _listening(process.pid)
            time.sleep(0.02)
    assert process.returncode == 0
    assert seen
    assert _loopback(seen), seen


def test_a_run_listens_nowhere_but_for_its_simulator(victim: Victim) -> None:
    command = [sys.executable, "-m", "aurum_etl", "run", str(victim.spec), *JULY, "--sim"]
    seen: set[str] = set()
    with subprocess.Popen(command, env=victim.environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            seen |= _listening(process.pid)
            time.sleep(0.02)
    assert (process.returncode, seen) == (0, {"127.0.0.1"})
