"""The command line as a user has it: exit codes, one JSON document, and what only a process of its own can show."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow.csv
import pyarrow.parquet
import pytest
import structlog
from click.testing import CliRunner

from aurum_etl import adapters
from aurum_etl.cli import cli, main
from aurum_etl.describe import new_spec
from aurum_etl.errors import UsageError
from aurum_etl.simulator import Fault, Simulator
from aurum_etl.spec import load_spec
from tests.frames import lmp_csv, spec
from tests.live.__main__ import main as live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aurum_etl.settings import Settings

SPECS = Path(__file__).parents[1] / "specs"
JULY = ("--from", "2026-07-14", "--to", "2026-07-15")


class Shell:
    """`aurum-etl`: its entry point with arguments and an environment, as a process has it, and called here, where its
    libraries are loaded already.
    """

    umask = 0o077
    """What it is called with."""

    def __init__(self, home: Path, simulator: Simulator) -> None:
        self.environment = {**os.environ, "AURUM_HOME": str(home), **simulator.env}

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-m", "aurum_etl", *map(str, arguments)]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        terminated, mask = signal.getsignal(signal.SIGTERM), os.umask(self.umask)
        try:
            with CliRunner().isolation(env=self.environment) as (out, err, _), pytest.MonkeyPatch.context() as patched:
                patched.setattr(sys, "argv", ["aurum-etl", *map(str, arguments)])
                # What a process keeps to its end, tests must not.
                patched.setattr(sys, "excepthook", sys.excepthook)
                # Some commands end their process at once, which here is that of the tests.
                patched.setattr(os, "_exit", sys.exit)
                with pytest.raises(SystemExit) as end:
                    main()
                return int(end.value.code or 0), out.getvalue().decode(), err.getvalue().decode()
        finally:
            signal.signal(signal.SIGTERM, terminated)
            os.umask(mask)
            logging.setLogRecordFactory(logging.LogRecord)
            structlog.reset_defaults()

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        ended, out, self.err = self.ended(*arguments)
        assert ended == code, self.err
        assert "Traceback" not in self.err
        return out

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self(*arguments, "--json", code=code))


class Processes(Shell):
    """`aurum-etl` in processes of its own, each of which loads everything anew."""

    def ended(self, *arguments: str | Path) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def shell(settings: Settings, simulator: Simulator) -> Shell:
    return Shell(settings.home, simulator)


def test_the_first_day_of_a_newcomer(settings: Settings, simulator: Simulator) -> None:
    """The command of the README, without a server, then a look at what came."""
    shell = Processes(settings.home, simulator)
    del shell.environment["AURUM_CAISO_BASE"]
    document = shell.json("run", SPECS / "caiso_lmp.yaml", "--sim")
    assert (document["dataset"], document["outcome"], document["rows"]) == ("caiso_lmp", "done", 72)
    assert document["sinks"] == [{"kind": "iceberg", "table": "iso.lmp", "rows": 72}]
    (chunk,) = document["chunks"]
    assert (chunk["outcome"], chunk["rows"], chunk["rejected"], chunk["attempts"], chunk["error"]) == (
        "done",
        72,
        0,
        1,
        None,
    )
    assert {"fetch", "decode", "normalize", "validate", "stage", "commit"} == set(chunk["seconds"])
    assert shell.json("inspect", "select count(*) as n from lmp") == [{"n": 72}]
    (status,) = shell.json("status")["datasets"]
    assert (status["covered_days"], status["missing_days"], status["rows"]) == (1, [], 72)


def test_inspect_lists_answers_and_writes(shell: Shell, tmp_path: Path) -> None:
    shell("run", spec(tmp_path), *JULY)
    listed = {each["table"]: each for each in shell.json("inspect")}
    assert listed["iso.lmp"] == {
        "table": "iso.lmp",
        "rows": 48,
        "days": 1,
        "locations": 2,
        "first": "2026-07-14",
        "last": "2026-07-14",
    }
    assert listed["receipts"]["rows"] == 1
    sql = "select iso_location_id, price_total from lmp order by all limit 3"
    assert len(shell.json("inspect", sql)) == 3
    for suffix, read in ((".csv", pyarrow.csv.read_csv), (".parquet", pyarrow.parquet.read_table)):
        out = tmp_path / f"o{suffix}"
        shell("inspect", sql, "--out", out)
        assert read(out).num_rows == 3
    assert (
        "is not one of .csv, .parquet"
        in shell.json("inspect", sql, "--out", tmp_path / "o.xls", code=3)["error"]["message"]
    )
    drawn = shell("inspect", "select interval_start, iso_location_id, price_total from lmp", "--plot")
    assert "DLAP_SCE-APND" in drawn


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to '{home}/x.csv'",
        "attach '{home}/x.db'",
        "select * from read_csv('/etc/hosts')",
        "drop view iso.lmp",
        "create table x as select 1",
        "set enable_external_access = true",
        "select 1; select 2",
        "selec 1",
    ],
)
def test_inspect_changes_nothing_and_reads_nothing_else(shell: Shell, settings: Settings, sql: str) -> None:
    before = sorted(settings.home.rglob("*"))
    assert shell.json("inspect", sql.format(home=settings.home), code=3)["error"]["kind"] == "SpecError"
    assert sorted(settings.home.rglob("*")) == before


def test_read_turns_files_into_the_contract(shell: Shell, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(lmp_csv(("2026-07-14T07:00", "A", "LMP", "1.5"), ("2026-07-14T07:00", "A", "MXYZ", "1")))
    document = shell.json("read", "caiso_lmp", file, code=1)
    assert (document["rows"], document["rejected"][0]["value"]) == (1, "MXYZ")
    assert document["records"][0]["interval_start"] == "2026-07-14T07:00:00Z"
    shell("read", "caiso_lmp", file, "--out", tmp_path / "o.parquet", code=1)
    assert "rejected by word_is_known: LMP_TYPE MXYZ" in shell.err
    assert pyarrow.parquet.read_table(tmp_path / "o.parquet").num_rows == 1
    assert not settings.home.exists()


def test_files_are_loaded_with_the_same_accounts(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(lmp_csv(*((f"2026-07-14T{hour:02}:00", "A", "LMP", "1") for hour in range(5, 10))))
    for _ in range(2):
        document = shell.json("run", spec(tmp_path), "--from-files", file)
    assert [(each["rows"], each["key"].split("@")[1]) for each in document["chunks"]] == [
        (2, "20260714T0500Z/20260714T0700Z"),
        (3, "20260714T0700Z/20260714T1000Z"),
    ]
    assert shell.json("inspect", "select count(*) n from lmp") == [{"n": 5}]
    assert shell.json("status")["datasets"][0]["covered_days"] == 0, "five hours are not two days"


def test_a_plan_is_told_and_nothing_done(shell: Shell, settings: Settings, tmp_path: Path) -> None:
    document = shell.json(
        "run", spec(tmp_path), *JULY, "--dry-run", "--set", "source.nodes=ALL", "--profile", "production"
    )
    assert (len(document["chunks"]), document["requests"], document["rows"]) == (1, 1, 398_400)
    assert not settings.home.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run",), 2, "Missing argument 'SPEC'"),
        (("run", "nope.yaml"), 3, "nope.yaml: cannot be read"),
        (("run", "SPEC", "--from", "tomorrow"), 2, "does not match the format"),
        (("run", "SPEC", "--from", "2026-07-14", "--to", "2026-07-14"), 2, "--to is exclusive"),
        (("run", "SPEC", "--sink", "icebrg"), 2, '"icebrg" is not one of iceberg, kafka, memory, timescale'),
        (("run", "SPEC", "--set", "source.nodez=1"), 3, "$.source.nodez: unknown field"),
        (("run", "SPEC", "--from-files"), 2, "--from-files is followed by the files"),
        (("read", "caiso_lpm", "SPEC"), 3, '"caiso_lpm" is not one of caiso_lmp, '),
        (("read", "caiso_lmp", "SPEC"), 1, "is neither csv nor xml"),
        (("simulate", "--fault", "5O3"), 2, "is not one of 429, 503"),
        (("simulate", "--weather", "7:2"), 2, "at most 1"),
        (("simulate", "--limit", "CAISSO=1/5"), 2, "is not one of CAISO, CAISO_OUTLOOK"),
        (("check", "SPEC", "nope.yaml"), 3, ""),
    ],
)
def test_what_is_wrong_is_told_in_one_document(
    shell: Shell, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    path = str(spec(tmp_path))
    document = shell.json(*(path if each == "SPEC" else each for each in arguments), code=code)
    assert words in (document["error"]["message"] if words else "")


def test_a_failed_chunk_and_an_absent_source_have_their_codes(
    shell: Shell, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.inject(Fault("error:1001"))
    shell("run", spec(tmp_path), *JULY, code=1)
    assert len(shell.json("status")["datasets"][0]["failed"]) == 1
    shell.environment["AURUM_CAISO_BASE"] = "http://127.0.0.1:1"
    document = shell.json("run", spec(tmp_path), *JULY, code=5)
    assert "--sim" in document["chunks"][0]["error"]
    shell.environment["AURUM_HOME"] = str(spec(tmp_path))
    assert "AURUM_HOME" in shell.json("run", spec(tmp_path), *JULY, code=3)["error"]["message"]


def test_an_interrupted_run_says_so_and_leaves_whole_days(shell: Shell, simulator: Simulator, tmp_path: Path) -> None:
    simulator.inject(Fault("slow", match={"startdatetime": "20260716T07:00-0000"}))
    path = spec(
        tmp_path, "dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND], concurrent_chunks: 1}\n"
    )
    with shell.start("run", path, "--from", "2026-07-14", "--to", "2026-07-20") as process:
        deadline = time.monotonic() + 30
        while len(simulator.log) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, "interrupted" in err) == (130, True)
    assert shell.json("inspect", "select count(*) n from lmp") == [{"n": 2 * 48}]
    assert shell.json("status")["datasets"][0]["covered_days"] == 2


def test_a_simulator_says_where_it_is(shell: Shell) -> None:
    with shell.start("simulate", "--attached") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("AURUM_CAISO_BASE=http://127.0.0.1:")
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_of_several_simulated_isos_those_that_are_asked_for_are_served() -> None:
    result = CliRunner().invoke(cli, ["simulate", "--iso", "PJM", "--iso", "SPP", "--attached", "--json"])
    assert result.exit_code == 0
    assert set(json.loads(result.output)) == {"AURUM_PJM_BASE", "PJM_API_KEY", "AURUM_SPP_BASE"}


def test_help_loads_nothing_heavy() -> None:
    """It answers in a fraction of the time that the libraries need to load."""
    code = (
        "import sys; from aurum_etl.cli import cli; cli(['run', '--help'], standalone_mode=False); print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(out.splitlines()[-1].split())
    heavy = {
        "polars",
        "pyarrow",
        "pandera",
        "pyiceberg",
        "duckdb",
        "httpx",
        "pydantic",
        "yaml",
        "rich",
        "structlog",
        "tenacity",
    }
    assert not heavy & loaded


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command, of groups and of what is in them."""
    yield words
    for name, command in group.commands.items():
        yield from commands(command, *words, name) if isinstance(command, click.Group) else [(*words, name)]


@pytest.mark.parametrize("words", list(commands(cli)), ids=" ".join)
def test_every_command_has_help_with_its_exit_codes(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0
    assert "Exit codes:" in result.output
    # What has commands of its own, or runs one of the user's, prints nothing itself.
    assert "--json" in result.output or "COMMAND [ARGS]..." in result.output or "-- COMMAND..." in result.output


def test_datasets_are_listed_with_what_they_need(shell: Shell) -> None:
    listed = {each["key"]: each for each in shell.json("datasets")}
    assert set(listed) == set(adapters.datasets())
    prices = listed["caiso_lmp"]
    assert (prices["iso"], prices["kind"], prices["market"], prices["run"]) == ("CAISO", "lmp", "DA", "DAM")
    assert (prices["interval_minutes"], prices["cadence"], prices["credentials"]) == ([60], "60 min", [])
    assert [each["name"] for each in prices["feeds"]] == ["oasis", "group"]
    assert "caiso_lmp_rt5" in shell("datasets")


@pytest.mark.parametrize("key", adapters.datasets())
def test_a_new_spec_is_right_as_it_stands(tmp_path: Path, key: str) -> None:
    path = tmp_path / "s.yaml"
    runner = CliRunner()
    assert runner.invoke(cli, ["new", key, str(path)]).exit_code == 0
    loaded = load_spec(path, (), adapters.datasets())
    assert (loaded.dataset, loaded.source.feed) == (key, adapters.dataset(key).feed.name)
    before = path.read_text()
    assert isinstance(runner.invoke(cli, ["new", key, str(path)]).exception, UsageError)
    assert path.read_text() == before


def test_a_new_spec_says_where_secrets_may_be(tmp_path: Path) -> None:
    for dataset in adapters.datasets().values():
        asking = [feed.name for feed in dataset.feeds if feed.credentials]
        text = new_spec(dataset)
        assert ("  # secret: vault:iso/" in text) == bool(asking)
        if asking:
            text = text.replace("  # secret:", "  secret:").replace(
                f"feed: {dataset.feed.name}\n", f"feed: {asking[0]}\n"
            )
            loaded = load_spec(spec(tmp_path, text), (), adapters.datasets())
            chosen = loaded.chosen(dataset)
            assert set(loaded.references(chosen)) == set(chosen.feed.credentials) != set()


def test_a_new_spec_runs(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "load.yaml"
    assert shell.json("new", "caiso_load", path) == {"dataset": "caiso_load", "spec": str(path)}
    assert shell.json("run", path, *JULY)["rows"] == 24 * 35


def test_the_live_check_says_per_dataset_what_came(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the simulator, at an address that was set: the real ones cannot be reached from a test."""
    bases = {name: base for name, base in settings.bases.items() if "CAISO" in name}
    assert live(["caiso_load"], replace(settings, bases=bases)) == 0
    told = capsys.readouterr().out
    assert told.startswith("caiso_load")
    assert "done" in told
    assert "840 rows" in told
    assert any((settings.home / "archive").rglob("*.json"))


def test_the_schema_that_specs_refer_to_is_the_one_that_is_printed(shell: Shell) -> None:
    assert shell("schema") == (SPECS / "spec.schema.json").read_text()
