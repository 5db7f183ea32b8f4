"""What the tests of adapters share: a server that says what a test wants, what is fetched from it, and bytes gone wrong."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlsplit

from hypothesis import strategies as st

from aurum_etl.adapters.base import Fetched, fetch
from aurum_etl.download import QUICK, Patience
from aurum_etl.quota import Ledger
from aurum_etl.receipt import Origin
from tests.downloads import downloading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from email.message import Message
    from pathlib import Path

    from aurum_etl.adapters.base import Adapter
    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset

T = TypeVar("T")
Said = tuple[int, object]
"""Status and body: bytes or text as they are, anything else as json."""

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "repeat", "drop"]), st.integers(0, 10**6), st.binary(max_size=6)
    ),
    min_size=1,
    max_size=4,
)
"""What may go wrong with bytes: kind, place, and what is put there or how much is lost."""


@dataclass(frozen=True)
class Heard:
    """One request."""

    target: str
    """Path and query as they came."""
    headers: Message
    body: str
    number: int
    """How many have come, this one included."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


@contextmanager
def server(
    say: Callable[[Heard], Said], note: Callable[[Heard], T], cookie_with: str | None = None
) -> Iterator[tuple[str, list[T]]]:
    """A server on loopback that answers with what `say` returns, and notes of each request what `note` returns; the body
    `cookie_with` comes with a cookie.
    """
    log: list[T] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            heard = Heard(self.path, self.headers, sent, len(log) + 1)
            log.append(note(heard))
            status, said = say(heard)
            text = said if isinstance(said, str) else json.dumps(said) if not isinstance(said, bytes) else ""
            body = said if isinstance(said, bytes) else text.encode()
            self.send_response(status)
            if cookie_with is not None and said == cookie_with:
                self.send_header("Set-Cookie", "isox_token=abc; Path=/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}", log
    finally:
        listening.shutdown()
        listening.server_close()


def fetched(
    adapter: Adapter,
    of: Dataset,
    chunk: Chunk,
    bases: Mapping[str, str],
    folder: Path,
    keys: Mapping[str, str] | None = None,
    patience: Patience = QUICK,
) -> Fetched:
    """Everything that those addresses have for the chunk."""
    folder.mkdir(parents=True, exist_ok=True)
    with downloading(
        adapter,
        of,
        bases,
        keys or {},
        ledger=Ledger(folder),
        archive=folder,
        origin=Origin.CUSTOM,
        patience=patience,
        max_bytes=10**8,
    ) as source:
        return fetch(adapter, of, chunk, source, 10**8)


def edited(content: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    """The content with those things gone wrong."""
    body = bytearray(content)
    for kind, where, data in edits:
        at = where % max(len(body), 1)
        match kind:
            case "flip" if body:
                body[at] ^= 1 << where % 8
            case "cut":
                del body[at:]
            case "insert":
                body[at:at] = data
            case "repeat":
                body[at:at] = body[at : at + 50]
            case _:
                del body[at : at + len(data)]
    return bytes(body)
