"""Another user of the same machine: what may be read, and where a link may stand."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from aurum_etl.simulator import Fault
from tests.frames import lmp_csv
from tests.hostile import JULY

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.simulator import Simulator
    from tests.hostile import Victim


def readable_by_others(home: Path) -> list[str]:
    """Everything under home, home included, that anybody but its owner has a right to, or that leads elsewhere."""
    found = []
    for path in (home, *sorted(home.rglob("*"))):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) or stat.S_IMODE(mode) & 0o077:
            found.append(f"{path.relative_to(home)} {stat.filemode(mode)}")
    return found


ON_A_CLUSTER = ("--executor", "dask", "--workers", "1")
COMMANDS = (
    ("run", "{spec}", *JULY),
    ("run", "{spec}", *JULY, "--replay"),
    ("run", "{spec}", "--from-files", "{bad}"),
    ("backfill", "start", "{spec}", "--from", "2026-07-10", "--to", "2026-07-12"),
    ("backfill", "start", "{spec}", "--from", "2026-07-12", "--to", "2026-07-14", *ON_A_CLUSTER),
    ("inspect", "from requests"),
    ("archive", "verify"),
    ("archive", "prune", "--keep-days", "0"),
    ("maintain", "--apply", "--keep-days", "0", "--orphan-hours", "0"),
    ("status",),
    ("quota", "{spec}"),
    ("health", "{spec}"),
    ("gaps", "{spec}", *JULY),
    ("coverage", "{spec}"),
    ("store", "rebuild"),
)


def test_whatever_a_command_leaves_at_home_is_its_owners_alone(victim: Victim, simulator: Simulator) -> None:
    """Under the mask that hides nothing, and with a home that was there before, open to all."""
    victim.home.mkdir()
    victim.home.chmod(0o700)
    rows = [(f"2026-07-08T{hour:02}:00", place, "LMP", "1") for hour in range(7, 24) for place in "ABC"]
    bad = victim.folder / "bad.csv"
    bad.write_bytes(lmp_csv(*rows, ("2026-07-08T07:00", "D", "MXYZ", "1")))
    simulator.inject(Fault("503", times=1))
    victim.umask = 0
    for command in COMMANDS:
        words = [word.replace("{spec}", str(victim.spec)).replace("{bad}", str(bad)) for word in command]
        code, _, err = victim.ended(*words)
        assert ("Traceback" not in err, code != 2) == (True, True), (command, err)
        assert readable_by_others(victim.home) == [], command
    assert {"archive", "catalog.db", "quarantine", "quota", "warehouse", "watermarks.duckdb"} <= {
        each.name for each in victim.home.iterdir()
    }


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600), (0o000, 0o666)])
def test_what_is_made_elsewhere_has_the_users_own_modes(victim: Victim, umask: int, mode: int) -> None:
    victim.umask = umask
    for command in (
        ("inspect", "select 1 as x", "--out", victim.folder / "o.csv"),
        ("inspect", "select 1 as x", "--out", victim.folder / "o.parquet"),
        ("new", "pjm_load", victim.folder / "o.yaml"),
    ):
        code, _, err = victim.ended(*command)
        assert code == 0, err
    made = [victim.folder / f"o{suffix}" for suffix in (".csv", ".parquet", ".yaml")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [mode] * 3
    assert not list(victim.folder.glob(".*"))


def test_an_answer_is_written_beside_a_link_and_not_through_it(victim: Victim) -> None:
    """In a folder of many somebody may have put a link where a file will be made."""
    target = victim.folder / "precious"
    target.write_text("mine")
    for name in ("o.csv", ".o.csv.partial"):
        (victim.folder / name).symlink_to(target)
    victim("inspect", "select 1 as x", "--out", victim.folder / "o.csv")
    assert target.read_text() == "mine"
    assert (victim.folder / "o.csv").read_text() == '"x"\n1\n'
    assert not (victim.folder / "o.csv").is_symlink()


def test_a_spec_is_not_written_through_a_link(victim: Victim) -> None:
    target = victim.folder / "precious"
    (victim.folder / "n.yaml").symlink_to(target)
    assert "is there already" in victim.json("new", "pjm_load", victim.folder / "n.yaml", code=2)["error"]["message"]
    assert not target.exists()


def test_a_home_of_everybody_is_told(victim: Victim) -> None:
    """Whoever may write there may put links there: it is not refused, since volumes of containers are like that."""
    victim.home.mkdir()
    victim.home.chmod(0o777)
    _, out, _ = victim.ended("health", victim.spec, "--json")
    assert "others may look into" in out
