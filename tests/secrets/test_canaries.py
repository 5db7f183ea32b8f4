"""No secret is ever told: canaries stand in every place where a secret can enter, every command is driven, in success and in
failure, and everything that was printed, written or stored is searched for them.

There is one exception: the body of an answer of status 200 lies in the archive as it was received, since it is the evidence
for the rows. An operator that repeats a key in its data would have it there; the file is its owner's alone.
"""

from __future__ import annotations

import base64
import json
import stat
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import click
import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from aurum_etl.cli import cli
from aurum_etl.secrets import SECRETS
from aurum_etl.sinks.kafka.topics import client_settings
from tests import services
from tests.adapters.loopback import server
from tests.secrets.canaries import Canaries, as_received, contents, rows_of_database
from tests.test_cli import Processes, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aurum_etl.simulator import Simulator
    from tests.adapters.loopback import Heard, Said

DAYS = ("--from", "2026-07-14", "--to", "2026-07-15")
ONCE = ("--set", "source.attempts=1")
Cases = dict[str, list[tuple[str | Path, ...]]]
IN_A_PROCESS = {"secrets env"}
"""What takes the place of its process, and tells nothing as JSON."""


def leaves(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that there is."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name))


@dataclass
class World:
    """A home, and an environment in which each secret is a canary."""

    folder: Path
    simulator: Simulator
    canary: Canaries
    variables: Mapping[str, str]
    codes: dict[str, set[int]] = field(default_factory=dict)
    """How each command ended."""
    told: dict[str, str] = field(default_factory=dict)
    """All that it printed."""

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def spec(self, dataset: str, text: str = "") -> Path:
        """A spec of the dataset, beside the home: what somebody wrote is not ours to hide."""
        path = self.folder / f"{dataset}.yaml"
        path.write_text(f"dataset: {dataset}\n{text}")
        return path

    def run(self, command: str, *rest: str | Path) -> str:
        """Standard output; all that is printed is kept."""
        shell = (Processes if command in IN_A_PROCESS else Shell)(self.home, self.simulator)
        shell.environment |= self.variables
        code, out, err = shell.ended("--log-level", "debug", *command.split(), *rest)
        self.codes.setdefault(command, set()).add(code)
        self.told[command] = self.told.get(command, "") + out + err
        return out

    def drive(self, cases: Cases) -> None:
        """Every case as text, and the first of each command as JSON."""
        for command, several in cases.items():
            if command not in IN_A_PROCESS:
                self.run(command, "--json", *several[0])
            for case in several:
                self.run(command, *case)

    def leaks(self) -> dict[str, set[str]]:
        """The places whose secrets were told, by who told them."""
        spared = as_received(self.home / "archive")
        found = {command: self.canary.found_in(told) for command, told in self.told.items()}
        for path, content in contents(self.home):
            if path.name not in spared:
                found.setdefault(str(path), set()).update(self.canary.found_in(content))
        return {who: places for who, places in found.items() if places}


def everywhere(canary: Canaries) -> dict[str, str]:
    """A canary in every variable that may hold a secret and is not about where something is."""
    shapes = ("plain", "percent", "quotes", "dollar", "json")
    found = {
        name: canary(name, shapes[place % len(shapes)])
        for place, name in enumerate(SECRETS)
        if name not in ("TIMESCALE_CONNECTION", "AURUM_ICEBERG_URI")
    }
    pair = canary("SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO", "quotes", "reader")
    password = canary("ISONE_API_PASSWORD", "dollar", "somebody")
    return found | {
        "ISONE_API_USERNAME": "somebody",
        "ISONE_API_PASSWORD": password,
        "PJM_API_KEY": f"{canary('PJM_API_KEY, first')}, {canary('PJM_API_KEY, second', 'quotes')}",
        "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": f"reader:{pair}",
        "VAULT_SECRET_ID": canary("VAULT_SECRET_ID"),
        "PGPASSWORD": canary("PGPASSWORD", "percent"),
    }


def quoted(value: str) -> str:
    return urllib.parse.quote(value, safe="")


def with_login(address: str, canary: Canaries, place: str, shape: str = "percent") -> str:
    """The address with a user and a canary for a password."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://reader:{quoted(canary(place, shape, 'reader'))}@{rest.rpartition('@')[2]}"


def with_password(dsn: str, password: str) -> str:
    """A database's address with that password, which a server that trusts everybody does not look at."""
    parts = urllib.parse.urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    user = parts.username or "postgres"
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{user}:{quoted(password)}@{host}"))


def cases(world: World, specs: tuple[Path, ...], job: str) -> Cases:
    """What each command is called with; a command that has no case fails the test."""
    first, answer, run = specs[0], world.folder / "answer.csv", (*DAYS, *ONCE)
    answer.write_text("no,answer\n")
    found: Cases = {
        "run": [
            *((each, *run) for each in specs),
            (first, *run, "--dry-run"),
            (first, "--replay", *DAYS, "--sink", "memory"),
        ],
        "backfill start": [*((each, *run) for each in specs), (first, *run, "--plan", "--rerun", "all")],
        "backfill list": [()],
        "backfill show": [(job,)],
        "backfill pause": [(job,)],
        "backfill resume": [(job,), ("nobody",)],
        "backfill cancel": [(job,)],
        "check": [specs],
        "coverage": [(*specs, *DAYS)],
        "gaps": [(first, *DAYS), (first, *DAYS, "--receipts-only")],
        "status": [()],
        "quota": [specs],
        "health": [("--timeout", "3"), (*specs, "--offline", "--timeout", "3")],
        "inspect": [(), ("select * from requests",), ("select * from receipts",), ("select * from nothing",)],
        "archive ls": [()],
        "archive verify": [()],
        "archive prune": [("--keep-days", "1")],
        "maintain": [()],
        "store rebuild": [()],
        "drain": [(first,)],
        "read": [("caiso_lmp", answer)],
        "secrets check": [(), specs],
        "secrets env": [("--spec", first, "--", "true"), ("--only", "PJM_API_KEY", "--", "nothing-of-that-name")],
        "new": [("pjm_lmp", world.folder / "new.yaml")],
        "datasets": [()],
        "schema": [()],
        "simulate": [("--attached", "--iso", "PJM")],
    }
    assert set(found) == set(leaves()), "every command has a case"
    return found


def job_of(world: World) -> str:
    jobs = json.loads(world.run("backfill list", "--json"))
    found: list[dict[str, Any]] = jobs["jobs"] if isinstance(jobs, dict) else jobs
    return str(found[0]["job"])


@pytest.fixture
def canary() -> Canaries:
    return Canaries()


def test_no_command_tells_a_secret_where_all_is_well(
    tmp_path: Path, simulator: Simulator, database: str, canary: Canaries
) -> None:
    password = canary("TIMESCALE_CONNECTION", "json")
    variables = everywhere(canary) | {
        "TIMESCALE_CONNECTION": with_password(database, password),
        "AURUM_ICEBERG_URI": with_password(database, canary("AURUM_ICEBERG_URI", "percent")),
        "AURUM_ICEBERG_WAREHOUSE": str(tmp_path / "home" / "warehouse"),
        "AURUM_CAISO_BASE": with_login(simulator.env["AURUM_CAISO_BASE"], canary, "AURUM_CAISO_BASE"),
        "HTTPS_PROXY": with_login("http://127.0.0.1:1", canary, "HTTPS_PROXY"),
    }
    world = World(tmp_path, simulator, canary, variables)
    sinks = "sinks: [{kind: iceberg}, {kind: timescale}]\ndrain: {sinks: [{kind: iceberg}]}\n"
    specs = (world.spec("caiso_lmp", f"source: {{nodes: [TH_NP15_GEN-APND]}}\n{sinks}"),)
    world.run("backfill start", specs[0], *DAYS)
    world.drive(cases(world, specs, job_of(world)))
    well = {
        "run",
        "status",
        "inspect",
        "coverage",
        "archive ls",
        "archive verify",
        "maintain",
        "store rebuild",
        "quota",
    }
    assert {command: world.codes[command] for command in well if 0 not in world.codes[command]} == {}
    assert world.leaks() == {}
    stored = {place: canary.found_in(text) for place, text in rows_of_database(database)}
    assert {place: found for place, found in stored.items() if found} == {}


def all_of(heard: Heard) -> str:
    """All that was sent, in every form in which a server could repeat it."""
    headers = dict(heard.headers.items())
    basic = base64.b64decode(headers.get("Authorization", "").partition("Basic ")[2] + "==").decode("utf-8", "replace")
    told = [heard.target, heard.body, urllib.parse.unquote_plus(heard.body), basic, quoted(basic), *headers.values()]
    return "\n".join([*told, json.dumps(headers), repr(headers), quoted(json.dumps(headers))])


def echo(heard: Heard, status: int) -> Said:
    """A refusal that repeats what was sent."""
    if status == 400:
        return status, {"statusCode": 400, "message": all_of(heard), "error_description": all_of(heard)}
    return status, f"<html>{all_of(heard)}</html>"


REFUSALS = (401, 403, 400, 500, 200)


def test_no_command_tells_a_secret_that_an_operator_repeats(
    tmp_path: Path, simulator: Simulator, database: str, canary: Canaries
) -> None:
    """Refusals repeat the key in each of their words; so does the token's giver, and so does what pretends to be data."""
    token_of = "ERCOT's token"
    token = canary(token_of)

    def say(heard: Heard) -> Said:
        if "token" in heard.path:
            return (200, {"id_token": token}) if heard.number % 2 else echo(heard, 400)
        return echo(heard, REFUSALS[heard.number % len(REFUSALS)])

    with server(say, all_of) as (base, asked):
        variables = everywhere(canary) | {
            "TIMESCALE_CONNECTION": f"{with_password(database, canary('TIMESCALE_CONNECTION'))}?nonsense=1",
            "AURUM_ICEBERG_URI": "",
            "AURUM_SPP_BASE": with_login(base, canary, "AURUM_SPP_BASE", "letters"),
            "AURUM_SPP_MARKETPLACE_BASE": with_login(base, canary, "AURUM_SPP_MARKETPLACE_BASE"),
            **{
                f"AURUM_{name}_BASE": base
                for name in ("PJM", "ISONE", "ERCOT", "ERCOT_LOGIN", "CAISO", "MISO", "MISO_API")
            },
        }
        world = World(tmp_path, simulator, canary, variables)
        feeds = dict.fromkeys(("pjm_lmp", "isone_lmp", "ercot_lmp", "miso_lmp", "miso_load"), "api") | {
            "spp_lmp": "csv"
        }
        specs = tuple(
            world.spec(dataset, f"source: {{feed: {feed}}}\nsinks: [{{kind: memory}}]\n")
            for dataset, feed in feeds.items()
        )
        world.run("backfill start", specs[0], *DAYS, *ONCE, "--no-reconcile")
        world.drive(cases(world, specs, job_of(world)))
        asked_for = canary.found_in("\n".join(asked))
    shown = {each for each in SECRETS if each.startswith(("ERCOT_", "MISO_", "ISONE_API_PASSWORD"))}
    assert asked_for >= {*shown, "PJM_API_KEY, first", "PJM_API_KEY, second", "AURUM_SPP_BASE", token_of}
    assert world.leaks() == {}
    kept = as_received(world.home / "archive")
    bodies = [path for path, content in contents(world.home) if path.name in kept and canary.found_in(content)]
    assert bodies, "what may be data is kept to the byte"
    assert {stat.S_IMODE(path.stat().st_mode) for path in bodies} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in bodies} == {0o700}


def test_no_command_tells_a_secret_where_nothing_works(tmp_path: Path, simulator: Simulator, canary: Canaries) -> None:
    """Nobody answers at any address, some of them are none, and what is at home is damaged."""
    nobody = f"127.0.0.1:{services.free_port()}"
    pjm = with_login(f"http://{nobody}", canary, "AURUM_PJM_BASE")
    variables = everywhere(canary) | {
        "TIMESCALE_CONNECTION": with_password(f"postgresql://{nobody}/x", canary("TIMESCALE_CONNECTION", "quotes")),
        "AURUM_ICEBERG_URI": with_login(f"postgresql://{nobody}/catalog", canary, "AURUM_ICEBERG_URI"),
        "AURUM_ICEBERG_WAREHOUSE": "s3://bucket/place",
        "AWS_ENDPOINT_URL": with_login(f"http://{nobody}", canary, "AWS_ENDPOINT_URL"),
        "SCHEMA_REGISTRY_URL": with_login(f"http://{nobody}", canary, "SCHEMA_REGISTRY_URL"),
        "VAULT_ADDR": with_login(f"http://{nobody}", canary, "VAULT_ADDR"),
        "VAULT_TOKEN": canary("VAULT_TOKEN"),
        "AURUM_PJM_BASE": f"{pjm}/x?key={canary('key of AURUM_PJM_BASE')}",
        "AURUM_CAISO_BASE": with_login("http://127.0.0.1:port", canary, "AURUM_CAISO_BASE"),
        "HTTPS_PROXY": with_login(f"http://{nobody}", canary, "HTTPS_PROXY", "letters"),
    }
    del variables["SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"], variables["AURUM_ICEBERG_CREDENTIAL"]
    world = World(tmp_path, simulator, canary, variables)
    (world.home / "quota").mkdir(parents=True)
    (world.home / "watermarks.duckdb").write_bytes(b"damaged" * 5000)
    specs = (
        world.spec("pjm_lmp", "sinks: [{kind: timescale}]\n"),
        world.spec("caiso_lmp", "source: {nodes: [A]}\nsinks: [{kind: iceberg}]\n"),
    )
    driven = cases(world, specs, "nobody")
    world.drive(driven)
    assert 0 not in world.codes["run"]
    # With a record that can be read, they come as far as the stores and the sources.
    (world.home / "watermarks.duckdb").unlink()
    world.drive({command: driven[command] for command in ("run", "gaps")})
    for each in specs:
        world.run("run", each, *DAYS, *ONCE, "--sink", "memory")
    (world.home / "quota" / "requests.sqlite").write_bytes(b"damaged" * 5000)
    world.drive({command: driven[command] for command in ("run", "quota")})
    assert world.codes["run"] >= {1, 5, 6}
    assert world.leaks() == {}


UNREADABLE = {
    "words": "host=127.0.0.1 port=1 user=u password='{libpq}' dbname=x",
    "words without quotes": "host=127.0.0.1 port=1 user=u password={plain} {plain} dbname=x",
    "a port that is none": "postgresql://u:{plain}@127.0.0.1:{plain}/x",
    "a password that is not encoded": "postgresql://u:{plain}/{plain}#{plain}@127.0.0.1:1/x",
    "an unknown argument": "postgresql://u:{quoted}@127.0.0.1:1/x?password={quoted}&nonsense={quoted}",
}


@pytest.mark.parametrize("dsn", UNREADABLE)
def test_a_connection_that_cannot_be_read_is_not_told(
    tmp_path: Path, simulator: Simulator, dsn: str, canary: Canaries
) -> None:
    """Libraries complain about what they took for something else: a port, a host, a word."""
    password, plain = canary("password", "quotes"), canary("plain password")
    libpq = password.replace("\\", "\\\\").replace("'", "\\'")
    variables = {"TIMESCALE_CONNECTION": UNREADABLE[dsn].format(libpq=libpq, quoted=quoted(password), plain=plain)}
    if "://" in variables["TIMESCALE_CONNECTION"]:
        variables["AURUM_ICEBERG_URI"] = variables["TIMESCALE_CONNECTION"]
    world = World(tmp_path, simulator, canary, variables)
    path = world.spec("caiso_lmp", "source: {nodes: [A]}\nsinks: [{kind: timescale}]\n")
    world.drive({"run": [(path, *DAYS)], "health": [("--only", "timescale", "--only", "iceberg")], "inspect": [()]})
    assert world.codes["run"] == {6}
    assert world.leaks() == {}


def test_an_error_that_nobody_foresaw_is_told_without_its_secret(
    tmp_path: Path, simulator: Simulator, canary: Canaries
) -> None:
    """The standard library repeats an address of strange letters, where no code of ours expects it to."""
    shell = Processes(tmp_path / "home", simulator)
    shell.environment["AURUM_CAISO_BASE"] = f"http://u:{canary('AURUM_CAISO_BASE')}\u2100@127.0.0.1/"
    path = tmp_path / "caiso_lmp.yaml"
    path.write_text("dataset: caiso_lmp\nsource: {nodes: [A]}\n")
    code, out, err = shell.ended("run", path, *DAYS)
    assert code == 1
    assert "Traceback" in err
    assert "contains invalid characters under NFKC normalization" in err
    assert canary.found_in(out + err) == set()


def test_workers_and_simulators_tell_no_secret(tmp_path: Path, simulator: Simulator, canary: Canaries) -> None:
    """Processes that a command starts write to its standard error as well, and have its environment."""
    with server(lambda heard: echo(heard, REFUSALS[heard.number % 4]), all_of) as (base, asked):
        variables = everywhere(canary) | {"AURUM_PJM_BASE": with_login(base, canary, "AURUM_PJM_BASE")}
        shell = Processes(tmp_path / "home", simulator)
        shell.environment |= variables
        world = World(tmp_path, simulator, canary, variables)
        path = world.spec("pjm_lmp", "source: {attempts: 1}\nsinks: [{kind: iceberg}]\n")
        cluster = ("--executor", "dask", "--workers", "1", "--no-reconcile")
        for command in (("backfill", "start", path, *DAYS, *cluster), ("run", path, *DAYS, "--sim")):
            code, out, err = shell.ended("--log-level", "debug", *command)
            world.told[str(command[0])] = out + err
            assert code == (1 if "dask" in command else 0), err
        assert canary.found_in("\n".join(asked)) & {"PJM_API_KEY, first", "PJM_API_KEY, second"}
    assert world.leaks() == {}


def test_no_secret_goes_onto_a_topic(
    tmp_path: Path, simulator: Simulator, kafka: dict[str, str], canary: Canaries
) -> None:
    """Rows, markers and what could not be read: the last has a reason beside it, which repeats what was there."""
    variables = everywhere(canary) | kafka | {"KAFKA_SECURITY_PROTOCOL": "plaintext"}
    del variables["SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"]
    variables["SCHEMA_REGISTRY_URL"] = with_login(kafka["SCHEMA_REGISTRY_URL"], canary, "SCHEMA_REGISTRY_URL")
    secret = variables["KAFKA_SASL_PASSWORD"]
    world = World(tmp_path, simulator, canary, variables)
    path = world.spec(
        "caiso_lmp", "source: {nodes: [TH_NP15_GEN-APND]}\nsinks: [{kind: kafka}]\ndrain: {sinks: [{kind: iceberg}]}\n"
    )
    world.run("run", path, *DAYS)
    topic = f"{kafka['AURUM_TOPIC_PREFIX']}aurum.iso.caiso.lmp.v1"
    brokers = client_settings({"bootstrap.servers": kafka["KAFKA_BOOTSTRAP_SERVERS"]})
    producer = Producer(brokers)
    producer.produce(topic, value=b"no avro", headers={"aurum.chunk": json.dumps({"dataset": secret}).encode()})
    producer.flush()
    producer.close()
    world.drive({"drain": [(path,)], "health": [("--only", "kafka", "--only", "registry")], "status": [()]})
    assert 0 in world.codes["run"]
    assert world.codes["drain"] == {0}
    assert world.leaks() == {}
    consumer = Consumer({**brokers, "group.id": "canaries", "enable.partition.eof": True})
    known = consumer.list_topics(timeout=10).topics
    topics = [name for name in known if name.startswith(kafka["AURUM_TOPIC_PREFIX"])]
    partitions = [TopicPartition(name, each, 0) for name in topics for each in known[name].partitions]
    consumer.assign(partitions)
    seen = ended = 0
    while ended < len(partitions):
        message = consumer.poll(30)
        assert message is not None
        if (error := message.error()) is not None:
            assert error.code() == KafkaError._PARTITION_EOF, error
            ended += 1
        elif message.topic() != topic or message.value() != b"no avro":
            seen += 1
            told = repr((message.key(), message.headers())).encode() + (message.value() or b"")
            assert canary.found_in(told) == set()
    consumer.close()
    assert len(topics) == 2
    assert seen > 24


def test_no_command_tells_what_vault_and_files_hold(
    tmp_path: Path, simulator: Simulator, vault: dict[str, str], canary: Canaries
) -> None:
    """Secrets that come from where the spec says, and from Vault by convention, are repeated by whoever they are shown to."""
    place = f"iso/{token_hex(8)}"
    held = {"api_key": canary("vault's api_key", "quotes"), "note": canary("vault's note", "percent")}
    httpx.post(
        f"{vault['VAULT_ADDR']}/v1/secret/data/aurum/{place}",
        headers={"X-Vault-Token": vault["VAULT_TOKEN"]},
        json={"data": held},
    ).raise_for_status()
    folder = tmp_path / "isone"
    folder.mkdir()
    (folder / "username").write_text("somebody")
    (folder / "password").write_text(canary("file's password", "dollar", "somebody"))
    with server(lambda heard: echo(heard, REFUSALS[heard.number % 4]), all_of) as (base, asked):
        variables = vault | {
            "AURUM_PJM_BASE": base,
            "AURUM_ISONE_BASE": base,
            "PJM_API_KEY": "",
            "ISONE_API_PASSWORD": "",
        }
        world = World(tmp_path, simulator, canary, {**variables, "ISONE_API_USERNAME": ""})
        sinks = "sinks: [{kind: memory}]\n"
        specs = (
            world.spec("pjm_lmp", f"source: {{secret: 'vault:{place}#api_key'}}\n{sinks}"),
            world.spec("isone_lmp", f"source: {{feed: api, secret: 'file:{folder}'}}\n{sinks}"),
            world.spec("pjm_load", f"source: {{secret: 'vault:{place}#nothing'}}\n{sinks}"),
        )
        for each in specs:
            world.drive({"run": [(each, *DAYS, *ONCE)] * 4})
        world.drive(
            {
                "secrets check": [(), specs],
                "secrets env": [("--spec", specs[0], "--", "true")],
                "health": [(specs[0], specs[1], "--timeout", "5")],
                "archive ls": [()],
                "inspect": [("select * from requests",)],
                "status": [()],
            }
        )
        shown = canary.found_in("\n".join(asked))
    assert shown >= {"vault's api_key", "file's password", "file's password, as a header has it"}
    assert world.leaks() == {}
