"""What the environment says, and homes with unusual names."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from aurum_etl import inspection
from aurum_etl.errors import SpecError
from aurum_etl.market import Iso
from aurum_etl.runner import Flags, run
from aurum_etl.settings import read_settings
from aurum_etl.watermarks import Store
from tests.frames import spec

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.simulator import Simulator


@pytest.mark.parametrize("name", ["my data", "100%20", "a#b", "Ünïcode", 'it\'s "quoted"'])
def test_everything_stays_in_a_home_of_any_name(tmp_path: Path, simulator: Simulator, name: str) -> None:
    """An escaped blank in a file address would be another folder beside the private one."""
    folder = tmp_path / "homes"
    folder.mkdir()
    settings = read_settings({"AURUM_HOME": str(folder / name), **simulator.env})
    flags = Flags(start=date(2026, 7, 14), end=date(2026, 7, 15))
    for _ in range(2):
        assert run(spec(tmp_path), flags, settings).rows == 48
    connection = inspection.connect(settings, Store(settings.home / "watermarks.duckdb"))
    assert inspection.query(connection, "select count(*) as n from lmp").to_pylist() == [{"n": 48}]
    assert [each.name for each in folder.iterdir()] == [name]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AURUM_ARCHIVE_MAX_MB", "ten", 'AURUM_ARCHIVE_MAX_MB: "ten" is not a whole number'),
        ("AURUM_ARCHIVE_KEEP_DAYS", "-1", 'AURUM_ARCHIVE_KEEP_DAYS: "-1" is not a whole number'),
        ("AURUM_DISK_MIN_MB", "1 GB", 'AURUM_DISK_MIN_MB: "1 GB" is not a whole number'),
        ("AURUM_HOME", "what?", "question mark"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(variable: str, value: str, words: str) -> None:
    with pytest.raises(SpecError, match=words.replace("?", r"\?")):
        read_settings({variable: value})


def test_bases_come_from_the_environment_and_lose_their_last_slash() -> None:
    settings = read_settings({"AURUM_CAISO_BASE": "http://127.0.0.1:1/x/"})
    assert settings.addresses(Iso.CAISO, {"": "https://iso"}) == {"": "http://127.0.0.1:1/x"}
    assert settings.addresses(Iso.PJM, {"": "https://iso/"}) == {"": "https://iso"}


def test_each_host_of_an_iso_has_a_variable_of_its_own() -> None:
    settings = read_settings({"AURUM_CAISO_OUTLOOK_BASE": "http://127.0.0.1:1"})
    found = settings.addresses(Iso.CAISO, {"": "https://iso", "OUTLOOK": "https://outlook"})
    assert found == {"": "https://iso", "OUTLOOK": "http://127.0.0.1:1"}


def test_credentials_are_read_and_never_shown() -> None:
    settings = read_settings({"PJM_API_KEY": "secret word", "ISONE_API_USERNAME": ""})
    assert dict(settings.secrets) == {"PJM_API_KEY": "secret word"}
    assert "secret word" not in repr(settings)
