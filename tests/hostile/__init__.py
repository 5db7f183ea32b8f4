"""What somebody may send, write or leave who means harm: an ISO's answers, specs, files, topics, catalogs, and another user of
the same machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from tests.frames import spec
from tests.test_cli import Shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from io import BufferedIOBase

    from aurum_etl.simulator import Simulator

JULY = ("--from", "2026-07-14", "--to", "2026-07-15")
ONCE = ("--set", "source.attempts=1")
MOST_BYTES = 700 * 1024 * 1024
"""What a process may hold: one that loads a small day has 300 MB, most of it libraries."""
_LEFT = (
    "select (select count(*) from receipts where outcome <> 'failed') as receipts, "
    "(select count(*) from watermarks) as watermarks, (select count(*) from lmp) as rows"
)


class Victim(Shell):
    """A home, the commands that work on it, and what must be true of it after an attack."""

    def __init__(self, home: Path, simulator: Simulator, folder: Path) -> None:
        super().__init__(home, simulator)
        self.home = home
        self.folder = folder
        self.spec = spec(folder)

    def attacked(self, *arguments: str | Path, code: int = 1) -> str:
        """The error of a command that must come to nothing, whatever it was given."""
        document = self.json(*arguments, code=code)
        assert "Traceback" not in self.err
        self.demand_untouched()
        if "error" in document:
            return f"{document['error']['kind']}: {document['error']['message']}"
        (error,) = {each["error"] for each in document["chunks"]}
        return str(error)

    def demand_untouched(self) -> None:
        """No row, no receipt of anything done, and no watermark."""
        if not self.home.exists():
            return
        # In one question, since most of a question is to open the home.
        assert self.json("inspect", _LEFT) == [{"receipts": 0, "watermarks": 0, "rows": 0}]
        assert not list(self.home.glob("archive/incoming/*"))

    def child(self, *arguments: str | Path) -> tuple[int, str, str, int]:
        """Exit code, output, errors, and the most memory in bytes of a command in a process of its own."""
        command = [sys.executable, "-m", "aurum_etl", *map(str, arguments)]
        with (self.folder / "out").open("w+") as out, (self.folder / "err").open("w+") as err:
            process = subprocess.Popen(command, env=self.environment, stdout=out, stderr=err)
            held = 0
            # The system's own count for a process that has ended is never less than what its parent had.
            while process.poll() is None:
                held = max(held, _peak(process.pid))
                time.sleep(0.01)
            out.seek(0)
            err.seek(0)
            return process.returncode, out.read(), err.read(), held

    def bombed(self, *arguments: str | Path) -> str:
        """The error of a command that must come to nothing in a process of its own, and without much memory."""
        _, out, err, held = self.child(*arguments, "--json")
        assert held < MOST_BYTES, f"{held:,} bytes; {err}"
        assert "Traceback" not in err
        document = json.loads(out)
        assert document.get("outcome", "failed") == "failed"
        self.demand_untouched()
        if "error" in document:
            return str(document["error"]["message"])
        return "; ".join(str(each["error"]) for each in document["chunks"])


def _peak(process: int) -> int:
    """The most memory that the process has had at once, in bytes; 0 once it has let go of it."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


@contextmanager
def answering(
    send: Callable[[BufferedIOBase], object], headers: Mapping[str, str], status: int = 200
) -> Iterator[tuple[str, list[str]]]:
    """A server on loopback that answers everything with those headers and what `send` writes, and its log of requests."""
    log: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            log.append(self.path)
            self.close_connection = True
            # Who has enough of it goes away.
            with suppress(OSError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                send(self.wfile)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", log
    finally:
        server.shutdown()
        server.server_close()
