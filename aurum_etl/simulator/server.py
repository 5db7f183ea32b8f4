"""The server: one port or one for each host, one prefix per host, a log of what was asked, and faults on demand."""

from __future__ import annotations

import json
import math
import select
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, Self, cast
from urllib.parse import parse_qsl, urlsplit

from aurum_etl.market import Iso
from aurum_etl.simulator.base import Answer, Asked, Fault, Served, mislabelled
from aurum_etl.simulator.limits import Limit, Turnstile
from aurum_etl.simulator.weather import is_of_zips, weathered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from aurum_etl.simulator.base import IsoSimulator
    from aurum_etl.simulator.weather import Weather

_CONTROL = "/_simulator"
_DROPS = 20
_LONGEST_PAUSE_SECONDS = 1.0
_SHORTEST_PAUSE_SECONDS = 0.01
_LOOK_SECONDS = 0.1
_OVERLOADED = Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"Content-Type": "text/html"}, b"<html>overloaded</html>")
_NOTHING = Answer(0, {}, b"")
_NOBODY = Answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"no such simulator\n")


class _Kind(Protocol):
    """What makes one ISO."""

    def __call__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> IsoSimulator: ...


_ISOS = {
    Iso.CAISO: "aurum_etl.simulator.caiso:CaisoSimulator",
    Iso.ERCOT: "aurum_etl.simulator.ercot:ErcotSimulator",
    Iso.ISONE: "aurum_etl.simulator.isone:IsoneSimulator",
    Iso.MISO: "aurum_etl.simulator.miso:MisoSimulator",
    Iso.PJM: "aurum_etl.simulator.pjm:PjmSimulator",
    Iso.SPP: "aurum_etl.simulator.spp:SppSimulator",
}


def _kind(iso: Iso) -> _Kind:
    module, _, name = _ISOS[iso].partition(":")
    return cast("_Kind", getattr(import_module(module), name))


class Simulator:
    """Simulated ISOs, by default all, on loopback; a context manager that serves while it is open.

    One port serves all hosts; with `apart` each has its own, so that one can go down and the others stay. `limits` are by the
    names of `bases`; `rate_limit_seconds` is how far apart requests must be at hosts that have none.

    Raises: ValueError if there is no host of that name; OSError if the address cannot be listened on.
    """

    def __init__(
        self,
        *,
        isos: Iterable[Iso] = _ISOS,
        port: int = 0,
        host: str = "127.0.0.1",
        seed: int = 2024,
        nodes: int | None = None,
        rate_limit_seconds: float | None = None,
        limits: Mapping[str, Limit] | None = None,
        faults: Iterable[Fault] = (),
        weather: Weather | None = None,
        apart: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._isos: tuple[IsoSimulator, ...] = tuple(_kind(iso)(seed=seed, nodes=nodes, now=now) for iso in isos)
        self._hosts = tuple(
            ("_".join(filter(None, (iso.name, word))), iso, word, prefix)
            for iso in self._isos
            for word, prefix in iso.prefixes.items()
        )
        names = [name for name, *_ in self._hosts]
        for name in limits or {}:
            if name not in names:
                raise ValueError(f'limit: host "{name}" is not one of {", ".join(names)}')
        everywhere = None if rate_limit_seconds is None else Limit(1, rate_limit_seconds)
        self._turnstiles = {name: Turnstile((limits or {}).get(name, everywhere)) for name in names}
        self._lock = threading.Lock()
        self._faults = list(faults)
        self._weather: dict[str, Iterator[Fault | None]] = {name: weather.over(name) for name in names if weather}
        self._most_bytes: dict[str, int] = {}
        self.log: list[Served] = []
        """Every request that came, in the order of their answers."""
        self.stopping = threading.Event()
        """Set once nobody is served any more."""
        self._listeners: list[_Listener] = []
        try:
            for place in range(len(names) if apart else 1):
                self._listeners.append(_Listener((host, port + place if port else 0), self))
        except OSError:
            self._close()
            raise
        self._listener_of = dict(zip(names, self._listeners if apart else self._listeners * len(names), strict=True))

    @property
    def bases(self) -> dict[str, str]:
        """Base address of each ISO and of its hosts beside the main one: `CAISO`, `CAISO_OUTLOOK`."""
        return {name: f"{self._listener_of[name].address}{prefix}" for name, _, _, prefix in self._hosts}

    @property
    def env(self) -> dict[str, str]:
        """The variables that point runs here, with the credentials that are accepted here and nowhere else."""
        bases = {f"AURUM_{name}_BASE": base for name, base in self.bases.items()}
        return bases | {name: value for iso in self._isos for name, value in iso.credentials.items()}

    @property
    def violations(self) -> list[Served]:
        """Requests that did not keep their host's limits."""
        return [each for each in list(self.log) if each.violation]

    def __enter__(self) -> Self:
        for each in self._listeners:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for each in self._listeners:
            each.stop()
        self._close()

    def _close(self) -> None:
        for each in self._listeners:
            each.close()

    def inject(self, *faults: Fault) -> None:
        """Let the next requests that match fail."""
        with self._lock:
            self._faults.extend(faults)

    def limit(self, iso: str, most_bytes: int) -> None:
        """Let the ISO of that name refuse whatever has an answer of more bytes, until faults are cleared."""
        with self._lock:
            self._most_bytes[iso] = most_bytes

    def accept(self, **credentials: str) -> None:
        """Accept these from now on, by their variables, and no longer what was accepted in their place."""
        for iso in self._isos:
            iso.credentials = {name: credentials.get(name, accepted) for name, accepted in iso.credentials.items()}

    def clear_faults(self) -> None:
        """Take back all faults that have not happened yet, and limits of size; the weather stays."""
        with self._lock:
            self._faults.clear()
            self._most_bytes.clear()

    def handle(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[Answer, Fault | None, Served | None]:
        """The answer to one request, the fault that goes with it, and what the log says; whoever sends the answer then says
        `over`.
        """
        found = next((each for each in self._hosts if path == each[3] or path.startswith(each[3] + "/")), None)
        if found is None:
            return _NOBODY, None, None
        name, iso, word, prefix = found
        with self._lock:
            started, turnstile = time.monotonic(), self._turnstiles[name]
            violation = turnstile.enter(started)
            served = Served(iso.name, word, path, dict(query), started, turnstile.inside, violation)
            fault = None if violation else self._take_fault(query)
            storm = next(self._weather[name]) if self._weather and not (violation or fault) else None
        asked = Asked(method, word, path.removeprefix(prefix), query, headers, body)
        if violation:
            answer = iso.too_fast()
        elif storm is not None and is_of_zips(storm):
            answer, fault = weathered(iso.answer(asked, None), storm)
        else:
            answer, fault = _answered(iso, asked, storm or fault), storm or fault
        if answer.status == HTTPStatus.OK and len(answer.body) > self._most_bytes.get(iso.name, len(answer.body)):
            answer = iso.too_large(asked)
        served.fault = fault.kind if fault else None
        served.status = answer.status
        # Who reads the log may take it that there is an answer.
        self.log.append(served)
        return answer, fault, served

    def over(self, served: Served, sent: int) -> None:
        """So many bytes of the answer went out, and its place is free."""
        with self._lock:
            served.sent = sent
            served.seconds = time.monotonic() - served.started
            self._turnstiles["_".join(filter(None, (served.iso, served.host)))].leave()

    def _take_fault(self, query: Mapping[str, str]) -> Fault | None:
        for fault in self._faults:
            if all(query.get(name) == value for name, value in fault.match.items()):
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return replace(fault, times=1)
        return None


def _answered(iso: IsoSimulator, asked: Asked, fault: Fault | None) -> Answer:
    """The answer; what happens to it on its way comes later."""
    match fault.kind if fault else None:
        case "hang" | "refuse_connection":
            return _NOTHING
        case "429" | "retry_after" | "retry_date":
            return _asking_to_wait(iso.too_fast(), fault)
        case "503":
            return _asking_to_wait(_OVERLOADED, fault)
        case "too_large":
            return iso.too_large(asked)
        case "wrong_type":
            return mislabelled(iso.answer(asked, None))
        case kind:
            return iso.answer(asked, kind)


def _asking_to_wait(answer: Answer, fault: Fault | None) -> Answer:
    """The refusal, with how long to stay away in one of the header's two forms; neither has parts of seconds."""
    if fault is None or fault.seconds is None:
        return answer
    told = str(math.ceil(fault.seconds))
    if fault.kind == "retry_date":
        told = format_datetime(datetime.fromtimestamp(math.ceil(time.time() + fault.seconds), UTC), usegmt=True)
    return replace(answer, headers={**answer.headers, "Retry-After": told})


def _nothing_more() -> None:
    """What is left to send of an answer that ended early."""


class _Listener:
    """One port that is served, but for the times when it is down."""

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self._simulator = simulator
        self._server = _Server(address, self)
        self._address = self._server.server_address[:2]
        self._down_seconds = 0.0
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def simulator(self) -> Simulator:
        """Whose it is."""
        return self._simulator

    @property
    def address(self) -> str:
        """Where it is reached."""
        host, port = self._address
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        """Serve, in a thread of its own."""
        self._thread = threading.Thread(target=self._serve, name="simulator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Serve no more; returns when that is so."""
        with self._changing:
            server = self._server
        server.shutdown()
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Let go of the port."""
        self._server.server_close()

    def restart(self, seconds: float) -> None:
        """Break all connections, and be down for so long."""
        with self._changing:
            if self._down_seconds or self._simulator.stopping.is_set():
                return
            self._down_seconds = seconds
            server = self._server
        server.shutdown()

    def _serve(self) -> None:
        while True:
            self._server.serve_forever(0.05)
            if self._simulator.stopping.is_set() or not self._down_seconds:
                return
            self._server.server_close()
            self._server.break_connections()
            # Bound, so that nobody else gets the port, and not listening, so that whoever calls is refused.
            with socket.socket() as placeholder:
                placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                placeholder.bind(self._address)
                self._simulator.stopping.wait(self._down_seconds)
                with self._changing:
                    if self._simulator.stopping.is_set():
                        return
                    self._down_seconds = 0.0
                    self._server = _Server(self._address, self)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: Any, listener: _Listener) -> None:
        self.listener = listener
        self.simulator = listener.simulator
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember who is connected."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget them again."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        """Let everybody who is connected see that nobody is there any more."""
        for each in list(self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

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
        if urlsplit(self.path).path == f"{_CONTROL}/log":
            content = json.dumps([asdict(each) for each in list(self.server.simulator.log)]).encode()
            self._send(Answer(HTTPStatus.OK, {"Content-Type": "application/json"}, content))
            return
        self._answer("GET", b"")

    def do_POST(self) -> None:
        """An ISO's answer, or faults to come, as a JSON list of `kind`, `times`, `match` and `seconds`."""
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
        self._send(Answer(status, {"Content-Type": "text/plain"}, message))

    def do_DELETE(self) -> None:
        """Take back the faults."""
        self.server.simulator.clear_faults()
        self._send(Answer(HTTPStatus.NO_CONTENT, {}, b""))

    def _answer(self, method: str, body: bytes) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer, fault, served = self.server.simulator.handle(method, parts.path, query, headers, body)
        self._send(answer, fault, served)

    def _send(self, answer: Answer, fault: Fault | None = None, served: Served | None = None) -> None:
        """Send the answer, or what the fault leaves of it."""
        self._sent = 0
        rest: Callable[[], object] = _nothing_more
        try:
            rest = self._begin(answer, fault)
        finally:
            # Whoever has the last byte may ask for the next thing, and by then this one's place is to be free.
            if served is not None:
                self.server.simulator.over(served, self._sent)
        rest()

    def _begin(self, answer: Answer, fault: Fault | None) -> Callable[[], object]:
        """Send all but the last byte; returns what sends that."""
        kind, seconds = (fault.kind, fault.seconds or 0.0) if fault else ("", 0.0)
        self.close_connection |= kind in ("hang", "refuse_connection", "reset")
        if kind == "hang":
            self._wait(seconds)
            return _nothing_more
        if kind == "refuse_connection":
            self.server.listener.restart(seconds)
            return _nothing_more
        if not answer.body:
            return lambda: self._send_head(answer)
        self._send_head(answer)
        if kind == "reset":
            self._write(answer.body[: len(answer.body) // 2])
            self.connection.close()
            return _nothing_more
        most, last = answer.body[:-1], answer.body[-1:]
        if kind in ("slow", "trickle"):
            self._drip(most, min(_DROPS, len(most)) if kind == "slow" else len(most), seconds)
        else:
            self._write(most)
        self._sent += len(last)
        return lambda: self.wfile.write(last)

    def _send_head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()

    def _write(self, piece: bytes) -> None:
        self.wfile.write(piece)
        self._sent += len(piece)

    def _drip(self, body: bytes, drops: int, seconds: float) -> None:
        """The body in so many drops, or as many as there is time for; never so far apart that the line seems dead."""
        drops = max(min(drops, int(seconds / _SHORTEST_PAUSE_SECONDS)), 1)
        size = max(-(-len(body) // drops), 1)
        for start in range(0, len(body), size):
            self._write(body[start : start + size])
            if self.server.simulator.stopping.wait(min(seconds / drops, _LONGEST_PAUSE_SECONDS)):
                return

    def _wait(self, seconds: float) -> None:
        """Until then, or until the client goes away."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.server.simulator.stopping.is_set():
            if select.select([self.connection], [], [], min(_LOOK_SECONDS, seconds))[0]:
                return
