"""What `aurum-etl health` says of real servers: well, wrong, gone, or stuck."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING

import duckdb
import hvac
import pytest
from pyarrow.fs import FileSelector, S3FileSystem

from aurum_etl import adapters
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.chunk import ALL
from aurum_etl.errors import UsageError
from aurum_etl.health import Kind, Probe, State, exit_code, probe
from aurum_etl.health.sources import trials_of
from aurum_etl.quota import BreakerRule, Call, Reply, Terms, ledger_of
from aurum_etl.runner import Flags, run
from aurum_etl.settings import Settings, read_settings
from aurum_etl.simulator import Fault, Simulator
from aurum_etl.sinks.iceberg import IcebergSink
from aurum_etl.sinks.kafka.topics import make_topic
from aurum_etl.spec import Source, Spec
from tests import services
from tests.frames import spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


CAISO = "dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND]}\n"
JULY = Flags(start=date(2026, 7, 14), end=date(2026, 7, 15))


@dataclass(frozen=True)
class Home:
    """A home of the test's own, with whatever else the environment is to say."""

    path: Path

    def settings(self, variables: Mapping[str, str] = MappingProxyType({})) -> Settings:
        return read_settings({"AURUM_HOME": str(self.path), **variables})

    def one(self, name: str, variables: Mapping[str, str] = MappingProxyType({}), seconds: float = 20) -> Probe:
        """What came of the one probe of exactly that name."""
        probes = probe(self.settings(variables), only=[name], timeout_seconds=seconds)
        (found,) = [each for each in probes if each.name == name]
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@contextmanager
def own(name: str) -> Iterator[services.Own]:
    """A server that nobody else uses, and that may be killed."""
    try:
        with services.own(name) as server:
            yield server
    except services.Missing as missing:
        if os.environ.get("AURUM_TEST_DEMAND") == "1":
            pytest.fail(f"{name}: {missing}")
        pytest.skip(f"{name}: {missing}")


@contextmanager
def stuck() -> Iterator[str]:
    """An address that takes connections, and answers nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def nobody() -> str:
    """An address where nobody listens."""
    return f"127.0.0.1:{services.free_port()}"


def test_every_host_of_every_iso_answers(home: Home, simulator: Simulator) -> None:
    """Each is asked once: the smallest thing, read as a run would read it."""
    names = [".".join(filter(None, (each.iso.slug, trial.of))) for each in adapters.adapters() for trial in each.trials]
    probes = probe(home.settings(simulator.env), timeout_seconds=30)
    sources = [each for each in probes if each.kind is Kind.SOURCE]
    assert [each.name for each in sources] == names
    assert {each.state for each in sources} == {State.OK}, sources
    asked = [each for each in simulator.log if "oauth2" not in each.path]
    assert len(asked) == len(names)
    assert [each.path for each in asked if each.status == 404] == ["/miso/marketreports/20000101_da_expost_lmp.csv"]
    (caiso,) = [each for each in sources if each.name == "caiso"]
    assert "35 rows" in caiso.reason
    assert exit_code(probes) == 0


def test_what_was_asked_is_in_the_archive(home: Home, simulator: Simulator) -> None:
    """A probe is a request as any other."""
    assert home.one("spp", simulator.env).state is State.OK
    (record,) = [json.loads(path.read_text()) for path in (home.path / "archive").rglob("*.json")]
    assert (record["chunk_key"], record["status"], record["origin"]) == ("health", 200, "custom")


def test_every_host_of_an_adapter_is_tried_but_logins() -> None:
    for adapter in adapters.adapters():
        tried = {trial.request.host for trial in adapter.trials}
        assert tried == set(adapter.bases) - {"LOGIN"}
        assert len({trial.of for trial in adapter.trials}) == len(adapter.trials)


@pytest.mark.parametrize(
    ("dataset", "feed"),
    [(dataset.key, feed.name) for dataset in adapters.datasets().values() for feed in dataset.feeds],
)
def test_every_feed_has_a_trial_with_its_credentials(dataset: str, feed: str) -> None:
    """Or health would look well to a spec whose source was never tried."""
    of = Spec(dataset=dataset, source=Source(feed=feed, nodes=ALL))
    assert trials_of(of, adapters.adapter(adapters.dataset(dataset).iso))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("503", ("status 503", "try again later")),
        ("html", ("an html page", "try again later")),
        ("error:1006", ("1006", "try again later")),
        ("wrong_header", ("look at the answer in the archive",)),
    ],
)
def test_an_iso_that_does_not_serve_is_told_with_what_to_do(
    home: Home, simulator: Simulator, fault: str, words: tuple[str, ...]
) -> None:
    simulator.inject(Fault(fault, match={"queryname": "SLD_FCST"}))
    main, outlook = probe(home.settings(simulator.env), only=["caiso"], timeout_seconds=20)
    assert (main.name, main.state, outlook.state) == ("caiso", State.FAILED, State.OK)
    assert all(word in main.reason for word in words), main.reason
    assert len(simulator.log) == 2
    assert exit_code([main, outlook]) == 5


def test_no_data_is_an_answer(home: Home, simulator: Simulator) -> None:
    simulator.inject(Fault("error:1000", match={"queryname": "SLD_FCST"}))
    main, _ = probe(home.settings(simulator.env), only=["caiso"], timeout_seconds=20)
    assert main.state is State.OK
    assert [each.fault for each in simulator.log if each.fault] == ["error:1000"]


def test_an_iso_that_nobody_answers_for_names_the_variable(home: Home) -> None:
    found = home.one("pjm", {"AURUM_PJM_BASE": f"http://{nobody()}/api/v1", "PJM_API_KEY": "key-of-nobody"})
    assert found.state is State.FAILED
    assert "AURUM_PJM_BASE" in found.reason
    assert "HTTPS_PROXY" in found.reason


def test_an_iso_that_hangs_is_cut(home: Home) -> None:
    with stuck() as address:
        started = time.monotonic()
        found = home.one("pjm", {"AURUM_PJM_BASE": f"http://{address}/api/v1", "PJM_API_KEY": "a-key"}, 1)
    assert found.state is State.FAILED
    assert "no answer in 1 s" in found.reason
    assert 1 <= found.seconds < 15
    assert time.monotonic() - started < 40


def test_who_waits_for_a_turn_has_not_failed(home: Home, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """CAISO is asked every five seconds, and both of its hosts count."""
    # Limits are kept everywhere but on loopback: the simulator is reached as a proxy for elsewhere.
    server = "/".join(simulator.env["AURUM_CAISO_BASE"].split("/")[:3])
    monkeypatch.setenv("HTTP_PROXY", server)
    bases = {
        name: value.replace(server, "http://caiso.example")
        for name, value in simulator.env.items()
        if name.startswith("AURUM_CAISO")
    }
    probes = probe(home.settings(bases), only=["caiso"], timeout_seconds=2)
    assert sorted(each.state for each in probes) == [State.OK, State.WAITING]
    (waiting,) = [each for each in probes if each.state is State.WAITING]
    assert waiting.reason.startswith("waits for its turn")
    assert len(simulator.log) == 1
    assert exit_code(probes) == 0


def test_credentials_that_are_not_there_are_no_failure_unless_a_spec_needs_them(home: Home, tmp_path: Path) -> None:
    found = home.one("pjm")
    assert found.state is State.NOT_CONFIGURED
    assert "PJM_API_KEY" in found.reason
    probes = probe(home.settings(), [spec(tmp_path, "dataset: pjm_lmp\n")], only=["pjm"])
    assert [each.state for each in probes] == [State.FAILED]
    assert exit_code(probes) == 5


def test_credentials_that_are_refused_name_their_variables(home: Home, simulator: Simulator) -> None:
    found = home.one("isone", {**simulator.env, "ISONE_API_PASSWORD": "not-the-password"})
    assert found.state is State.FAILED
    assert "ISONE_API_USERNAME" in found.reason
    assert "not-the-password" not in found.reason


def test_offline_asks_no_iso_and_tells_of_breakers(home: Home, simulator: Simulator) -> None:
    settings = home.settings(simulator.env)
    probes = probe(settings, only=["spp", "pjm"], offline=True)
    assert [each.state for each in probes] == [State.OK, State.OK]
    portal = f"SPP {simulator.env['AURUM_SPP_BASE'].split('/')[2]}"
    with closing(ledger_of(settings)) as ledger:
        budget = ledger.budget(Terms("spp_lmp", breaker=BreakerRule(failures=1)))
        reserved = budget.reserve(Call(portal, "GET", "url"), threading.Event())
        reserved.received(Reply(503, 0, "", 0.1, 0.1, "busy", healthy=False))
        (breaker,) = ledger.breakers()
    spp, pjm = sorted(probe(settings, only=["spp", "pjm"], offline=True), key=lambda each: each.name, reverse=True)
    assert (spp.state, pjm.state) == (State.FAILED, State.OK)
    assert f"open until {breaker.until:%Y-%m-%dT%H:%M:%SZ}" in spp.reason
    assert simulator.log == []


def test_a_spec_is_asked_for_what_it_needs_and_nothing_else(home: Home, simulator: Simulator, tmp_path: Path) -> None:
    path = spec(tmp_path, f"{CAISO}sinks: [{{kind: kafka}}, {{kind: timescale}}]\n")
    probes = probe(home.settings(simulator.env), [path], timeout_seconds=20)
    states = {each.name: each.state for each in probes}
    assert states == {
        "home": State.OK,
        "disk": State.OK,
        "watermarks": State.OK,
        "timescale": State.FAILED,
        "kafka": State.FAILED,
        "registry": State.FAILED,
        "caiso": State.OK,
    }
    assert exit_code(probes) == 6


def test_what_a_drain_needs_is_needed(home: Home, simulator: Simulator, tmp_path: Path) -> None:
    drained = "drain: {sinks: [{kind: timescale}], encoding: arrow}"
    path = spec(tmp_path, f"{CAISO}sinks: [{{kind: memory}}]\n{drained}\n")
    probes = probe(home.settings(simulator.env), [path], offline=True)
    assert {each.name for each in probes if each.kind is Kind.STORE} == {"kafka", "timescale"}


def test_names_that_mean_nothing_are_refused(home: Home) -> None:
    with pytest.raises(UsageError, match=r'--only: "timescal" is not one of timescale, .*caiso\.outlook'):
        probe(home.settings(), only=["timescal"])


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        ((), 0),
        ((Kind.SOURCE,), 5),
        ((Kind.STORE, Kind.STORE), 6),
        ((Kind.MACHINE,), 1),
        ((Kind.SOURCE, Kind.STORE), 1),
        ((Kind.SOURCE, Kind.MACHINE), 1),
    ],
)
def test_the_exit_code_says_whose_side_it_is(failed: tuple[Kind, ...], code: int) -> None:
    well = [Probe("a", kind, "", state, 0, "") for kind in Kind for state in State if state is not State.FAILED]
    assert exit_code([*well, *(Probe("b", kind, "", State.FAILED, 0, "") for kind in failed)]) == code


def test_a_database_that_is_well_keeps_nothing_of_the_look(home: Home, database: str) -> None:
    found = home.one("timescale", {"TIMESCALE_CONNECTION": database})
    assert found.state is State.OK, found
    assert "PostgreSQL 1" in found.reason
    assert "TimescaleDB" in found.reason
    services.execute(database, "create table aurum_health_is_alone (n int)")
    assert tables(database) == ["aurum_health_is_alone"]


def tables(database: str) -> list[str]:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("select relname from pg_class where relname like 'aurum%' order by 1")
        return [name for (name,) in cursor.fetchall()]


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (("revoke create on schema public from public",), "grant its rights: create on the schema"),
        (
            (
                "grant create on schema public to {user}",
                "create table iso_lmp_fact (n int)",
                "grant select, insert on iso_lmp_fact to {user}",
                "create table iso_chunk (n int)",
                "grant select, insert, delete on iso_chunk to {user}",
            ),
            "may not read and replace the rows of iso_lmp_fact;",
        ),
        (
            (
                "grant create on schema public to {user}",
                "alter role {user} set default_transaction_read_only = on",
            ),
            "only reads; name the primary",
        ),
    ],
)
def test_a_database_where_nothing_may_be_written_names_the_right(
    home: Home, database: str, statements: tuple[str, ...], words: str
) -> None:
    user = f"reader_{database.rpartition('_')[2]}"
    services.execute(database, f"create role {user} login")
    try:
        for statement in statements:
            services.execute(database, statement.format(user=user))
        found = home.one("timescale", {"TIMESCALE_CONNECTION": database.replace("postgres@", f"{user}@")})
        assert found.state is State.FAILED
        assert words in found.reason
    finally:
        services.execute(database, f"drop owned by {user}")
        services.execute(database, f"drop role {user}")


def test_a_database_that_was_killed_and_one_that_is_stuck(home: Home) -> None:
    with own("postgres") as server:
        dsn = server.address["dsn"]
        assert home.one("timescale", {"TIMESCALE_CONNECTION": dsn}).state is State.OK
        with server.paused():
            started = time.monotonic()
            found = home.one("timescale", {"TIMESCALE_CONNECTION": f"{dsn}?connect_timeout=60"}, 2)
            assert time.monotonic() - started < 30
        assert found.state is State.FAILED
        assert "no answer in 2 s" in found.reason
        assert "TIMESCALE_CONNECTION" in found.reason
        server.kill()
        found = home.one("timescale", {"TIMESCALE_CONNECTION": dsn})
    assert found.state is State.FAILED
    assert "check that the server runs" in found.reason


def test_a_warehouse_on_disk_is_written_to_and_left_as_it_was(home: Home) -> None:
    for _ in range(2):
        found = home.one("iceberg")
        assert found.state is State.OK, found
    assert list((home.path / "warehouse").iterdir()) == []


def test_tables_that_are_there_are_left_as_they_were(home: Home, simulator: Simulator, tmp_path: Path) -> None:
    settings = home.settings(simulator.env)
    run(spec(tmp_path), JULY, settings)
    before = sorted((home.path / "warehouse").rglob("*"))
    found = home.one("iceberg")
    assert "lmp can be written to" in found.reason
    assert sorted((home.path / "warehouse").rglob("*")) == before


def test_a_catalog_that_is_damaged_says_what_to_do(home: Home) -> None:
    home.settings().private_folder()
    (home.path / "catalog.db").write_bytes(b"not a database" * 1000)
    found = home.one("iceberg")
    assert found.state is State.FAILED
    assert "put back a copy of catalog.db" in found.reason


def test_a_rest_catalog_over_an_object_store(home: Home, rest_catalog: dict[str, str], s3: dict[str, str]) -> None:
    found = home.one("iceberg", {**rest_catalog, **s3})
    assert found.state is State.OK, found
    assert s3["AURUM_ICEBERG_WAREHOUSE"] in found.reason
    store = S3FileSystem(
        endpoint_override=s3["AWS_ENDPOINT_URL"],
        access_key=s3["AWS_ACCESS_KEY_ID"],
        secret_key=s3["AWS_SECRET_ACCESS_KEY"],
        region="us-east-1",
    )
    place = FileSelector(s3["AURUM_ICEBERG_WAREHOUSE"].removeprefix("s3://"), allow_not_found=True, recursive=True)
    assert [each.path for each in store.get_file_info(place) if each.is_file] == []


def test_a_rest_catalog_that_does_not_tell_where_its_tables_will_be(home: Home, rest_catalog: dict[str, str]) -> None:
    assert "it tells when there are some" in home.one("iceberg", rest_catalog).reason
    sink = IcebergSink(home.settings(rest_catalog))
    sink.open(LMP_DAY_AHEAD)
    sink.close()
    found = home.one("iceberg", rest_catalog)
    assert (found.state, "lmp can be written to" in found.reason) == (State.OK, True), found


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AWS_SECRET_ACCESS_KEY", "not-the-secret", "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("AURUM_ICEBERG_WAREHOUSE", "s3://no-such-bucket/x", "make the bucket of AURUM_ICEBERG_WAREHOUSE"),
    ],
)
def test_an_object_store_that_refuses_says_why(
    home: Home, s3: dict[str, str], variable: str, value: str, words: str
) -> None:
    found = home.one("iceberg", {**s3, variable: value})
    assert found.state is State.FAILED
    assert words in found.reason
    assert "not-the-secret" not in found.reason


def test_an_object_store_and_a_catalog_that_are_stuck_or_gone(home: Home) -> None:
    with stuck() as address:
        started = time.monotonic()
        keys = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret"}
        warehouse = {"AURUM_ICEBERG_WAREHOUSE": "s3://bucket/x", "AWS_ENDPOINT_URL": f"http://{address}", **keys}
        storage = home.one("iceberg", warehouse, 2)
        catalog = home.one("iceberg", {"AURUM_ICEBERG_URI": f"http://{address}"}, 2)
        assert time.monotonic() - started < 40
    assert (storage.state, catalog.state) == (State.FAILED, State.FAILED)
    assert "AWS_ENDPOINT_URL" in storage.reason
    assert "no answer in 2 s" in catalog.reason
    gone = home.one("iceberg", {"AURUM_ICEBERG_URI": f"http://{nobody()}"})
    assert gone.state is State.FAILED
    assert "check that it runs, and where AURUM_ICEBERG_URI" in gone.reason


def test_brokers_and_registry_are_asked_for_what_is_ours(home: Home, kafka: dict[str, str]) -> None:
    found = home.one("kafka", kafka)
    assert found.state is State.OK
    assert "1 brokers, no topic of ours" in found.reason
    topic = f"{kafka['AURUM_TOPIC_PREFIX']}aurum.iso.caiso.lmp.v1"
    make_topic(home.settings(kafka).kafka, topic, 1)
    assert home.one("kafka", kafka).reason.endswith(f"topics {topic}")
    found = home.one("registry", kafka)
    assert found.state is State.OK
    assert found.reason.endswith("subjects")


def test_brokers_and_registry_that_are_gone_or_stuck(home: Home) -> None:
    for name, variable in (("kafka", "KAFKA_BOOTSTRAP_SERVERS"), ("registry", "SCHEMA_REGISTRY_URL")):
        scheme = "" if name == "kafka" else "http://"
        gone = home.one(name, {variable: f"{scheme}{nobody()}"}, 3)
        with stuck() as address:
            started = time.monotonic()
            hangs = home.one(name, {variable: f"{scheme}{address}"}, 3)
            assert time.monotonic() - started < 30
        for found in (gone, hangs):
            assert found.state is State.FAILED
            assert variable in found.reason
            assert exit_code([found]) == 6


def test_brokers_that_were_killed(home: Home) -> None:
    with own("kafka") as server:
        variables = {"KAFKA_BOOTSTRAP_SERVERS": server.address["bootstrap"]}
        assert home.one("kafka", variables).state is State.OK
        with server.paused():
            hangs = home.one("kafka", variables, 3)
        server.kill()
        gone = home.one("kafka", variables, 3)
    for found in (hangs, gone):
        assert found.state is State.FAILED
        assert "check that the brokers run" in found.reason


def test_a_vault_that_is_well_then_stuck_then_sealed(home: Home) -> None:
    with own("vault") as server:
        variables = {"VAULT_ADDR": server.address["url"]}
        found = home.one("vault", variables)
        assert found.state is State.OK
        assert found.reason.startswith("initialized and unsealed, version ")
        assert found.reason.endswith("; nothing to log in with is set")
        assert home.one("vault", variables | {"VAULT_TOKEN": server.address["token"]}).reason.endswith(
            "; accepts VAULT_TOKEN"
        )
        refused = home.one("vault", variables | {"VAULT_TOKEN": "long-gone"})
        assert (refused.state, "does not accept VAULT_TOKEN" in refused.reason) == (State.FAILED, True)
        with server.paused():
            found = home.one("vault", variables, 1)
            assert found.state is State.FAILED
            assert "VAULT_ADDR" in found.reason
        hvac.Client(server.address["url"], token=server.address["token"]).sys.seal()
        found = home.one("vault", variables)
        assert found.state is State.FAILED
        assert "vault operator unseal" in found.reason
        server.kill()
        found = home.one("vault", variables)
        assert found.state is State.FAILED
        assert "check that it runs, and where VAULT_ADDR points" in found.reason


def test_a_vault_that_was_never_initialized(home: Home) -> None:
    with own("fresh vault") as server:
        found = home.one("vault", {"VAULT_ADDR": server.address["url"]})
    assert found.state is State.FAILED
    assert "vault operator init" in found.reason


def test_what_is_no_vault_is_told(home: Home, simulator: Simulator) -> None:
    found = home.one("vault", {"VAULT_ADDR": simulator.env["AURUM_SPP_BASE"]})
    assert (found.state, "is no Vault" in found.reason) == (State.FAILED, True)


def test_a_record_that_another_process_holds(home: Home) -> None:
    path = home.settings().private_folder() / "watermarks.duckdb"
    holding = f"import duckdb, sys, time; kept = duckdb.connect({str(path)!r}); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            found = home.one("watermarks", seconds=2)
        finally:
            holder.kill()
    assert found.state is State.FAILED
    assert "another process has held it" in found.reason
    assert str(holder.pid) in found.reason


def test_a_record_says_its_version_and_one_that_is_damaged_the_way_out(
    home: Home, simulator: Simulator, tmp_path: Path
) -> None:
    assert home.one("watermarks").reason == "nothing was ever recorded"
    run(
        spec(tmp_path, f"{CAISO}sinks: [{{kind: memory}}]\n"),
        JULY,
        home.settings(simulator.env),
    )
    assert home.one("watermarks").reason.endswith("1 receipts")
    with duckdb.connect(str(home.path / "watermarks.duckdb")) as connection:
        connection.execute("update meta set version = 99")
    found = home.one("watermarks")
    assert found.state is State.FAILED
    assert "aurum-etl store rebuild" in found.reason
    assert exit_code([found]) == 1


def test_a_home_that_others_may_look_into(home: Home) -> None:
    home.settings().private_folder().chmod(0o755)
    found = home.one("home")
    assert found.state is State.FAILED
    assert f"chmod 700 {home.path}" in found.reason
    home.path.chmod(0o700)
    assert home.one("home").state is State.OK
    assert [each.name for each in home.path.rglob("*")] == ["archive"]


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = Home(tmp_path / "file" / "home").one("home")
    assert found.state is State.FAILED
    assert "AURUM_HOME" in found.reason


def test_a_disk_with_too_little_room(home: Home) -> None:
    assert home.one("disk").state is State.OK
    found = home.one("disk", {"AURUM_DISK_MIN_MB": "999999999"})
    assert found.state is State.FAILED
    assert "make room" in found.reason
    assert home.one("disk", {"AURUM_DISK_MIN_MB": "0"}).state is State.OK


def test_the_command_ends_in_time_and_tells_everything_in_one_document(home: Home, simulator: Simulator) -> None:
    """Whoever hangs: threads that are cut do not keep the process."""
    with stuck() as address:
        variables = {
            "TIMESCALE_CONNECTION": f"postgresql://aurum:geheim@{address}/energy?connect_timeout=60",
            "SCHEMA_REGISTRY_URL": f"http://reader:geheim@{address}",
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "KAFKA_SASL_PASSWORD": "geheim",
            "AURUM_ICEBERG_URI": f"http://{address}",
            "AURUM_ICEBERG_TOKEN": "geheim",
            "AURUM_PJM_BASE": f"http://reader:geheim@{address}/api/v1",
            "VAULT_ADDR": f"http://reader:geheim@{address}",
        }
        environment = {**os.environ, **simulator.env, "AURUM_HOME": str(home.path), **variables}
        command = [sys.executable, "-W", "error", "-m", "aurum_etl", "health", "--json", "--timeout", "4"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 1, ended.stderr
    told = {each["name"]: each for each in json.loads(ended.stdout)["probes"]}
    assert set(told["pjm"]) == {"name", "kind", "asked", "state", "seconds", "reason"}
    failed = {name for name, each in told.items() if each["state"] == "failed"}
    assert failed == {"timescale", "iceberg", "kafka", "registry", "vault", "pjm"}
    assert "geheim" not in ended.stdout + ended.stderr
    assert all("\n" not in each["reason"] for each in told.values())
    # What loads libraries does not count, and what it takes is the machine's business.
    assert all(each["seconds"] < 8 for each in told.values())


def test_a_secret_is_told_in_no_spelling(home: Home) -> None:
    """Neither as it stands in an address nor as it is meant."""
    password = "p%40ss%2Fw%C3%B6rd"
    variables = {
        "TIMESCALE_CONNECTION": f"host=127.0.0.1 port={services.free_port()} user=aurum password='p@ss/wörd' dbname=x",
        "AURUM_ICEBERG_URI": f"postgresql://aurum:{password}@{nobody()}/catalog",
    }
    for name in ("timescale", "iceberg"):
        found = home.one(name, variables)
        assert found.state is State.FAILED
        for secret in (password, "p@ss/wörd"):
            assert secret not in found.reason + found.asked
