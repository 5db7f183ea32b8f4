"""The server: one port, one prefix per ISO, a log of what was asked, and faults on demand."""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from aurum_etl.simulator.base import Answer, Asked, Fault, Served
from aurum_etl.simulator.caiso import CaisoSimulator
from aurum_etl.simulator.ercot import ErcotSimulator
from aurum_etl.simulator.isone import IsoneSimulator
from aurum_etl.simulator.miso import MisoSimulator
from aurum_etl.simulator.pjm import PjmSimulator
from aurum_etl.simulator.spp import SppSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aurum_etl.simulator.base import IsoSimulator

_CONTROL = "/_simulator"
_SLOW_SECONDS = 3.0
_PIECES = 20


class _Kind(Protocol):
    """What makes one ISO."""

    def __call__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> IsoSimulator: ...


_ISOS: tuple[_Kind, ...] = (CaisoSimulator, ErcotSimulator, IsoneSimulator, MisoSimulator, PjmSimulator, SppSimulator)


class Simulator:
    """All simulated ISOs behind one loopback port; a context manager that serves while it is open."""

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        seed: int = 2024,
        nodes: int | None = None,
        rate_limit_seconds: float | None = None,
        faults: Iterable[Fault] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._isos: tuple[IsoSimulator, ...] = tuple(kind(seed=seed, nodes=nodes, now=now) for kind in _ISOS)
        self._rate_limit_seconds = rate_limit_seconds
        self._lock = threading.Lock()
        self._faults = list(faults)
        self._last_start: dict[str, float] = {}
        self._most_bytes: dict[str, int] = {}
        self.log: list[Served] = []
        """Every request that came, in order."""
        self._server = _Server((host, port), self)
        self._thread: threading.Thread | None = None

    @property
    def bases(self) -> dict[str, str]:
        """Base address of each ISO and of its hosts beside the main one: `CAISO`, `CAISO_OUTLOOK`."""
        host, port = self._server.server_address[:2]
        return {
            "_".join(filter(None, (iso.name, word))): f"http://{host!s}:{port}{prefix}"
            for iso in self._isos
            for word, prefix in iso.prefixes.items()
        }

    @property
    def env(self) -> dict[str, str]:
        """The variables that point runs here, with the credentials that are accepted here and nowhere else."""
        bases = {f"AURUM_{name}_BASE": base for name, base in self.bases.items()}
        return bases | {name: value for iso in self._isos for name, value in iso.credentials.items()}

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="simulator", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self._thread is not None:
            self._thread.join()

    def inject(self, *faults: Fault) -> None:
        """Let the next requests that match fail."""
        with self._lock:
            self._faults.extend(faults)

    def limit(self, iso: str, most_bytes: int) -> None:
        """Let the ISO of that name refuse whatever has an answer of more bytes, until faults are cleared."""
        with self._lock:
            self._most_bytes[iso] = most_bytes

    def clear_faults(self) -> None:
        """Take back all faults that have not happened yet, and limits."""
        with self._lock:
            self._faults.clear()
            self._most_bytes.clear()

    def handle(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[Answer, str | None]:
        """The answer to one request, and the fault that goes with it."""
        started = time.monotonic()
        found = self._place(path)
        if found is None:
            return Answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"no such simulator\n"), None
        iso, word, prefix = found
        with self._lock:
            limit, last = self._rate_limit_seconds, self._last_start.get(iso.name)
            too_fast = limit is not None and last is not None and started - last < limit
            # Refused attempts count too, so impatience prolongs the wait.
            self._last_start[iso.name] = started
            fault = None if too_fast else self._take_fault(query)
        if too_fast or fault == "429":
            answer = iso.too_fast()
        elif fault == "503":
            answer = Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"Content-Type": "text/html"}, b"<html>overloaded</html>")
        else:
            asked = Asked(method, word, path.removeprefix(prefix), query, headers, body)
            answer = iso.too_large(asked) if fault == "too_large" else iso.answer(asked, fault)
            if answer.status == HTTPStatus.OK and len(answer.body) > self._most_bytes.get(iso.name, len(answer.body)):
                answer = iso.too_large(asked)
        with self._lock:
            self.log.append(Served(path, dict(query), answer.status, fault, started))
        return answer, fault

    def _place(self, path: str) -> tuple[IsoSimulator, str, str] | None:
        """Whose path it is: the ISO, its host, and the host's prefix."""
        return next(
            (
                (iso, word, prefix)
                for iso in self._isos
                for word, prefix in iso.prefixes.items()
                if path == prefix or path.startswith(prefix + "/")
            ),
            None,
        )

    def _take_fault(self, query: Mapping[str, str]) -> str | None:
        for fault in self._faults:
            if all(query.get(name) == value for name, value in fault.match.items()):
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault.kind
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are sent one after the other: the body would wait for the headers to be acknowledged, 40 ms each time.
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: object) -> None:
        """The simulator's own log says more."""

    def do_GET(self) -> None:
        """An ISO's answer, or the log."""
        parts = urlsplit(self.path)
        if parts.path == f"{_CONTROL}/log":
            log = [
                {
                    "path": each.path,
                    "query": dict(each.query),
                    "status": each.status,
                    "fault": each.fault,
                    "started": each.started,
                }
                for each in self.server.simulator.log
            ]
            self._send(Answer(HTTPStatus.OK, {"Content-Type": "application/json"}, json.dumps(log).encode()), None)
            return
        self._answer("GET", b"")

    def do_POST(self) -> None:
        """An ISO's answer, or faults to come, as a JSON list of `kind`, `times` and `match`."""
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.path.startswith(_CONTROL):
            self._answer("POST", content)
            return
        status, message = HTTPStatus.NO_CONTENT, b""
        try:
            if self.path != f"{_CONTROL}/faults":
                raise ValueError(f"faults are posted to {_CONTROL}/faults")
            self.server.simulator.inject(*(Fault(**each) for each in json.loads(content)))
        except (ValueError, TypeError) as error:
            status, message = HTTPStatus.BAD_REQUEST, f"{error}\n".encode()
        self._send(Answer(status, {"Content-Type": "text/plain"}, message), None)

    def do_DELETE(self) -> None:
        """Take back the faults."""
        self.server.simulator.clear_faults()
        self._send(Answer(HTTPStatus.NO_CONTENT, {}, b""), None)

    def _answer(self, method: str, body: bytes) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(*self.server.simulator.handle(method, parts.path, query, headers, body))

    def _send(self, answer: Answer, fault: str | None) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if fault == "reset":
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
            self.connection.close()
        elif fault == "slow":
            size = max(len(answer.body) // _PIECES, 1)
            for start in range(0, len(answer.body), size):
                self.wfile.write(answer.body[start : start + size])
                self.wfile.flush()
                time.sleep(_SLOW_SECONDS / _PIECES)
        else:
            self.wfile.write(answer.body)
