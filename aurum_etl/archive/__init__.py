"""Every answer of an ISO, kept as received: content-addressed, never overwritten, and replayable.

An answer that may hold rows (status 200) is kept to the byte, whatever is in it: it is evidence, in files that their owner
alone may read. All that is beside it, and every other answer, is kept without secrets.

    archive/objects/ab/abcdef…                  the bytes of a body, named by their SHA-256
    archive/exchanges/12/1234…/<time>-<n>.json  one request and its answer, under the digest of the request
    archive/incoming/…                          bodies that are being received
    archive/users/…                             locks of those who receive or replay now: what they need is not pruned

A request's identity leaves out the base address: what a run received from one address can be replayed by any other run
that would ask the same question.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aurum_etl.errors import ArchiveError
from aurum_etl.receipt import Origin
from aurum_etl.redaction import HIDDEN, address_of, says_secret, shown, start_of, without_known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aurum_etl.market import Iso

_KEPT_HEADERS = (
    "content-type",
    "content-disposition",
    "content-encoding",
    "date",
    "retry-after",
    "last-modified",
    "etag",
)
_RECORDED = {"iso", "path", "status", "sha256", "bytes", "origin", "received_at", "headers", "chunk_key"}
Record = dict[str, object]
TIME = "%Y%m%dT%H%M%S.%fZ"
"""How a name says when an answer came: in the order of time."""
_MAY_HOLD_ROWS = 200
_LONGEST_REFUSAL = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One question to an ISO, without the address it is sent to."""

    iso: Iso
    path: str
    query: tuple[tuple[str, str], ...] = ()
    host: str = ""
    """Which of the ISO's hosts; empty is the main one."""
    body: str = ""
    """Json that is posted; empty for a request that only gets."""
    headers: tuple[tuple[str, str], ...] = ()
    """What the answer's form depends on, such as `Accept`; never a credential."""

    @property
    def method(self) -> str:
        """`GET`, or `POST` where there is a body."""
        return "POST" if self.body else "GET"

    @property
    def identity(self) -> str:
        """Digest of the question: the same for any address and any order of the arguments."""
        question = [self.iso.value, self.method, self.path, sorted(self.query)]
        if self.host or self.body:
            question += [self.host, self.body]
        return hashlib.sha256(json.dumps(question).encode()).hexdigest()

    def describe(self) -> str:
        """The question in one line, for messages."""
        host = f"{self.host.lower()}:" if self.host else ""
        query = f"?{shown(self.query)}" if self.query else ""
        return f"{self.iso.value} {host}{self.path}{query}" + (f" {start_of(self.body, 120)}" if self.body else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, with its body in a file."""

    request: Request
    status: int
    headers: Mapping[str, str] = field(hash=False)
    body: Path
    sha256: str
    size: int
    """Bytes of the body."""
    received_at: datetime
    origin: Origin

    @property
    def mark(self) -> str:
        """Digest of question and bytes: equal only where the same was asked, and the same came."""
        return hashlib.sha256(f"{self.request.identity} {self.sha256}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is known of one request and its answer, beside the body."""

    base: str = field(repr=False)
    """The address that was asked; who keeps it leaves user and password out."""
    origin: Origin
    status: int
    headers: Mapping[str, str] = field(hash=False)
    """By lower-case names."""
    received_at: datetime
    seconds: float
    """From the first byte sent to the last byte received."""
    attempt: int
    chunk_key: str


class Incoming:
    """A body that is being received: written to a private file and hashed as it comes, so memory stays flat."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._digest = hashlib.sha256()
        self.size = 0
        """Bytes so far."""

    def write(self, data: bytes) -> None:
        """Take in the next piece."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def hide(self) -> None:
        """Take out of it what nobody may see, for an answer that holds no rows: some refusals repeat the key that they refuse.

        What is longer than any words of refusal is cut.
        """
        self._file.flush()
        with self.path.open("rb") as file:
            found = file.read(_LONGEST_REFUSAL)
        told = without_known(found.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if told != found or self.size > len(found):
            self._file.seek(0)
            self._file.truncate()
            self._digest, self.size = hashlib.sha256(), 0
            self.write(told)

    def finish(self) -> str:
        """Put the bytes on disk for good; returns their SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()

    def drop(self) -> None:
        """Leave no trace; harmless when the body was kept."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Archive:
    """A folder of answers. Several processes may use it at once, since nothing in it is ever changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._objects = folder / "objects"
        self._exchanges = folder / "exchanges"

    @contextmanager
    def receiving(self) -> Iterator[Incoming]:
        """A place for a body to come into; what is not kept leaves no trace."""
        incoming_folder = _made(self.folder / "incoming")
        incoming = Incoming(incoming_folder / f"{os.getpid()}-{secrets.token_hex(8)}")
        try:
            yield incoming
        finally:
            incoming.drop()

    def keep(self, incoming: Incoming, request: Request, exchange: Exchange) -> Answer:
        """Make a received body, and what is known of its exchange, part of the archive."""
        if exchange.status != _MAY_HOLD_ROWS:
            incoming.hide()
        digest = incoming.finish()
        record: Record = {
            "iso": request.iso.value,
            "host": request.host,
            "method": request.method,
            "path": without_known(request.path),
            "query": [
                (name, HIDDEN if says_secret(name) else without_known(value)) for name, value in sorted(request.query)
            ],
            "base": address_of(exchange.base),
            "origin": exchange.origin.value,
            "status": exchange.status,
            "headers": {
                name: without_known(exchange.headers[name]) for name in _KEPT_HEADERS if name in exchange.headers
            },
            "received_at": exchange.received_at.isoformat(),
            "seconds": round(exchange.seconds, 6),
            "attempt": exchange.attempt,
            "chunk_key": exchange.chunk_key,
            "sha256": digest,
            "bytes": incoming.size,
        }
        with self.locked(alone=False):
            self._put(incoming, digest)
            folder = _made(self._exchanges / request.identity[:2] / request.identity)
            name = f"{exchange.received_at:{TIME}}-{secrets.token_hex(4)}.json"
            partial = folder / f".{name}.partial"
            partial.touch(mode=0o600)
            partial.write_text(json.dumps(record, indent=1))
            partial.rename(folder / name)
        return self._answer(request, record)

    def _put(self, incoming: Incoming, digest: str) -> None:
        body = self.body(digest)
        _made(body.parent)
        try:
            # A link never replaces: the first copy of a body is the one that stays.
            body.hardlink_to(incoming.path)
        except FileExistsError:
            # Who prunes sees by its time that it is wanted again.
            os.utime(body)

    @contextmanager
    def locked(self, *, alone: bool) -> Iterator[None]:
        """Hold the archive's lock: those who keep share it, and who prunes has it alone, so that no body goes that is named
        again at that moment.
        """
        descriptor = os.open(_made(self.folder) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def in_use(self, *, whole: bool = False) -> Iterator[None]:
        """As long as this lasts, whoever prunes leaves what has been received since it began; or, if `whole`, everything."""
        folder = _made(self.folder / "users")
        descriptor, path = _lock_of_our_own(folder)
        try:
            if whole:
                os.utime(path, (0, 0))
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def used_since(self) -> datetime | None:
        """What was received since then may be needed by somebody who is at work now; None where nobody is."""
        began: list[float] = []
        for path in self._files("users"):
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                began.append(os.fstat(descriptor).st_mtime)
            else:
                # Its process has died.
                Path(path).unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return datetime.fromtimestamp(min(began), UTC) if began else None

    def latest(self, request: Request, *, simulated: bool, statuses: frozenset[int] = frozenset({200})) -> Answer:
        """The newest answer to this question that came with one of the statuses.

        Answers of the simulator count only where `simulated` is asked for, or where nothing else was ever received:
        invented data never shadows published data.

        Raises: ArchiveError if there is none, or its bytes are not what they were.
        """
        folder = self._exchanges / request.identity[:2] / request.identity
        records = [read(path) for path in sorted(folder.glob("*.json"), reverse=True)]
        good = [record for record in records if int(str(record["status"])) in statuses]
        published = [record for record in good if record["origin"] != Origin.SIMULATOR]
        invented = [record for record in good if record["origin"] == Origin.SIMULATOR]
        chosen = invented if simulated else published or invented
        if not chosen:
            raise ArchiveError(f"{request.describe()}: no answer to it is kept in {self.folder}; run without --replay")
        answer = self._answer(request, chosen[0])
        if digest_of(answer.body) != answer.sha256:
            raise ArchiveError(f"{request.describe()}: {answer.body} is missing, or no longer what was received")
        return answer

    def paths(self) -> list[Path]:
        """Every exchange there is, oldest first; a name begins with the `TIME` of the answer, so none need be read."""
        found = [path for path in self._files("exchanges", 2) if path.endswith(".json")]
        return [Path(path) for path in sorted(found, key=lambda path: path.rpartition("/")[2])]

    def exchanges(self) -> Iterator[tuple[Path, Record]]:
        """Every exchange there is, oldest first."""
        return ((path, read(path)) for path in self.paths())

    def bodies(self) -> dict[str, int]:
        """The bytes of every body there is, by digest."""
        found = {}
        for path in self._files("objects", 1):
            # One that was pruned in this moment is not there.
            with suppress(FileNotFoundError):
                found[path.rpartition("/")[2]] = os.stat(path).st_size  # noqa: PTH116 - as in `_names`
        return found

    def incoming(self) -> list[Path]:
        """Bodies that are being received, or were when their process died."""
        return [Path(path) for path in self._files("incoming")]

    def body(self, digest: str) -> Path:
        """Where the body of that digest is, if it is there."""
        return self._objects / digest[:2] / digest

    def _files(self, folder: str, depth: int = 0) -> list[str]:
        """Paths of the files so many folders below; much faster than a pattern, with ten thousands of folders."""
        level = [str(self.folder / folder)]
        for _ in range(depth + 1):
            level = [f"{path}/{name}" for path in level for name in _names(path)]
        return level

    def _answer(self, request: Request, record: Record) -> Answer:
        headers = record["headers"]
        return Answer(
            request=request,
            status=int(str(record["status"])),
            headers={str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {},
            body=self.body(str(record["sha256"])),
            sha256=str(record["sha256"]),
            size=int(str(record["bytes"])),
            received_at=datetime.fromisoformat(str(record["received_at"])).astimezone(UTC),
            origin=Origin(str(record["origin"])),
        )


def read(path: Path) -> Record:
    """What is on record of one exchange.

    Raises: ArchiveError if it cannot be read.
    """
    try:
        record = json.loads(path.read_text())
        if isinstance(record, dict) and record.keys() >= _RECORDED:
            return record
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: not a readable exchange: {error}") from error
    raise ArchiveError(f"{path}: not the record of an exchange")


def digest_of(path: Path) -> str | None:
    """The SHA-256 of a file; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - paths of ten thousands of folders take as long as the folders
    except (FileNotFoundError, NotADirectoryError):
        return []


def _lock_of_our_own(folder: Path) -> tuple[int, Path]:
    """A new file in the folder, locked for as long as it is open."""
    while True:
        path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        # Who looked for dead users came in between, and took it away.
        os.close(descriptor)
