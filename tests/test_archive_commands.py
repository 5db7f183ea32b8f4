"""`aurum-etl archive` as a user has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aurum_etl.archive import Archive
from tests.frames import spec
from tests.test_cli import JULY, Shell

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator


@pytest.fixture
def shell(settings: Settings, simulator: Simulator) -> Shell:
    return Shell(settings.home, simulator)


def test_an_archive_that_is_not_there_is_empty_and_looking_makes_none(shell: Shell, settings: Settings) -> None:
    assert shell.json("archive", "ls")["listed"] == []
    assert shell.json("archive", "verify")["bodies"] == 0
    assert shell.json("archive", "prune")["exchanges"] == 0
    assert not settings.home.exists()


def test_what_a_run_received_is_listed_verified_and_let_go(shell: Shell, settings: Settings, tmp_path: Path) -> None:
    shell("run", spec(tmp_path), "--from", "2026-07-14", "--to", "2026-07-17")
    (first, *_), found = (document := shell.json("archive", "ls"))["listed"], document
    assert (len(found["listed"]), found["exchanges"], found["bodies"], found["more"]) == (3, 3, 3, False)
    assert (first["iso"], first["status"], first["dataset"], first["origin"]) == ("CAISO", 200, "caiso_lmp", "custom")
    assert "PRC_LMP" in first["request"]
    assert sum(each["bytes"] for each in found["listed"]) == found["bytes"]
    assert [each["received_at"] for each in found["listed"]] == sorted(
        (each["received_at"] for each in found["listed"]), reverse=True
    )
    for filters in (("--iso", "PJM"), ("--dataset", "caiso_load"), ("--from", "2099-01-01"), ("--to", "2020-01-01")):
        assert shell.json("archive", "ls", *filters)["listed"] == []
    text = shell("archive", "ls", "--limit", "1", "--iso", "caiso").splitlines()
    assert text[0].split("\t")[:4] == ["received", "ISO", "request", "status"]
    assert (len(text), "1 listed, and there are more (--limit 1); the archive holds 3 exchanges" in text[-1]) == (
        3,
        True,
    )
    assert "0 damaged, 0 missing, 0 exchanges unreadable, 0 orphans" in shell("archive", "verify")

    told = shell.json("archive", "prune", "--max-mb", "0")
    assert (told["applied"], told["exchanges"], told["objects"], told["size"]) == (False, 3, 3, found["bytes"])
    assert "nothing was changed; add --apply to do it" in shell("archive", "prune", "--keep-days", "0")
    shell.environment["AURUM_ARCHIVE_MAX_MB"] = "0"
    assert shell.json("archive", "prune", "--max-mb", "1", "--apply")["exchanges"] == 0
    assert shell.json("archive", "prune", "--apply")["exchanges"] == 3
    assert Archive(settings.home / "archive").bodies() == {}


def test_without_a_limit_it_is_told_how_to_set_one(shell: Shell, tmp_path: Path) -> None:
    shell("run", spec(tmp_path), *JULY)
    assert "no limit is set: give --keep-days or --max-mb" in shell("archive", "prune")


def test_damage_is_shown_and_is_another_exit_code(shell: Shell, settings: Settings, tmp_path: Path) -> None:
    shell("run", spec(tmp_path), "--from", "2026-07-14", "--to", "2026-07-17")
    archive = Archive(settings.home / "archive")
    digests = sorted(archive.bodies())
    archive.body(digests[0]).write_bytes(b"x")
    archive.body(digests[1]).unlink()
    document = shell.json("archive", "verify", code=1)
    assert [each["sha256"] for each in document["damaged"]] == digests[:1]
    assert [each["sha256"] for each in document["missing"]] == digests[1:2]
    text = shell("archive", "verify", code=1)
    assert f"damaged\t{digests[0]}" in text
    assert "1 damaged, 1 missing, 0 exchanges unreadable, 0 orphans" in text.splitlines()[-1]


def test_a_run_says_what_was_unchanged_and_can_be_told_to_load_it_again(shell: Shell, tmp_path: Path) -> None:
    path = spec(tmp_path)
    first = shell.json("run", path, *JULY)["chunks"][0]
    again = shell.json("run", path, *JULY)["chunks"][0]
    assert (first["unchanged_since"], again["outcome"], again["rows"]) == (None, "done", 48)
    assert again["unchanged_since"] is not None
    assert [each["check"] for each in again["findings"]] == ["content_is_unchanged"]
    text = shell("run", path, *JULY)
    assert "\tdone, unchanged\t48\t" in text
    assert (
        text.splitlines()[-1] == "done: 48 rows, 1 chunks (1 unchanged, and not loaded again), into iso.lmp (iceberg)"
    )
    assert shell.json("run", path, *JULY, "--reload")["chunks"][0]["unchanged_since"] is None
    (counted,) = shell.json("inspect", "select count(unchanged_since) n, count(*) all_of_them from receipts")
    assert counted == {"n": 2, "all_of_them": 4}


def test_a_backfill_says_what_was_unchanged_and_can_be_told_to_load_it_again(shell: Shell, tmp_path: Path) -> None:
    path, days = spec(tmp_path), ("--from", "2026-07-14", "--to", "2026-07-17", "--rerun", "all")
    shell("backfill", path, *days)
    job = shell.json("backfill", path, *days)
    assert (job["counts"], [each["unchanged"] for each in job["chunks"]]) == ({"done": 3}, [True] * 3)
    assert "3 done, 3 of them unchanged and not loaded again" in shell("backfill", "show", job["job"])
    job = shell.json("backfill", path, *days, "--reload")
    assert [each["unchanged"] for each in job["chunks"]] == [False] * 3
