"""A line to a server that can be listened to, and that goes wrong when it is told to."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

Said = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""
CUT: Said = (0, b"", {})
"""The connection is reset before there is an answer."""


def page(status: int, text: str = "<html>no such thing</html>") -> Said:
    """What a proxy says that is no Vault."""
    return status, text.encode(), {"content-type": "text/html"}


class Between:
    """Passes on all that is asked, and the answers."""

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[str] = []
        """`GET secret/data/a`, in the order in which they came."""
        self.faults: deque[Said] = deque()
        """What is said to the next requests, which then go no further."""
        self._target = urlsplit(target)
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    self.close_connection = True

            def do_GET(self) -> None:
                between.answer(self)

            def do_POST(self) -> None:
                between.answer(self)

            def do_PUT(self) -> None:
                between.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            # Who does not shake hands must not hold up the others.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """What the server says to it, or what goes wrong."""
        self.heard.append(f"{handler.command} {handler.path.removeprefix('/v1/')}")
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        if self.faults:
            status, content, headers = self.faults.popleft()
            if not status:
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.close_connection = True
                handler.connection.close()
                return
        else:
            status, content, headers = self._passed_on(handler, body)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if status != 204:
            handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _passed_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> Said:
        line = http.client.HTTPConnection(str(self._target.hostname), self._target.port, timeout=10)
        try:
            line.request(handler.command, handler.path, body, dict(handler.headers))
            answer = line.getresponse()
            return answer.status, answer.read(), {"content-type": answer.getheader("content-type", "")}
        finally:
            line.close()

    def serve(self) -> None:
        """Until it is closed."""
        self._server.serve_forever(0.02)

    def close(self) -> None:
        """Take no more questions."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def between(target: str, tls: ssl.SSLContext | None = None) -> Iterator[Between]:
    """A line to that address."""
    line = Between(target, tls)
    threading.Thread(target=line.serve, daemon=True).start()
    try:
        yield line
    finally:
        line.close()
