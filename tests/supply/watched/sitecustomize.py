"""Notes what the process that it is loaded into runs, loads, starts and connects to. Python finds it by its name, first of all.

One file per process in the folder `AURUM_TEST_WATCHED`, a JSON array per line: what happened, and of or with what.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path

_LOG = os.open(
    Path(os.environ["AURUM_TEST_WATCHED"]) / f"{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
)
_STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.spawn"}
_seen: set[tuple[str, ...]] = set()


def _note(*what: str) -> None:
    if what not in _seen:
        _seen.add(what)
        os.write(_LOG, (json.dumps(what) + "\n").encode())


def _maker() -> str:
    """The file of the code that runs what has none; empty where that is Python itself, for `python -c`."""
    frame = sys._getframe(1).f_back
    while frame is not None and frame.f_code.co_filename.startswith("<"):
        frame = frame.f_back
    return "" if frame is None else frame.f_code.co_filename


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "exec":
        # The body of a module, or code that was made up: then it matters who made it up.
        name = str(getattr(arguments[0], "co_filename", ""))
        _note("run", name, _maker() if name.startswith("<") else "")
    elif event == "import" and arguments[1]:
        _note("library", str(arguments[1]))
    elif event == "ctypes.dlopen":
        _note("library", str(arguments[0]))
    elif event == "subprocess.Popen":
        _note("start", *map(str, arguments[1]))  # type: ignore[call-overload]
    elif event in _STARTS:
        _note("start", event, str(arguments[0]) if arguments else "")
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        _note("connect", str(address[0]) if isinstance(address, tuple) else f"unix:{address!r}")
    elif event == "socket.getaddrinfo":
        _note("look up", str(arguments[0]))


def _mapped() -> None:
    """Also what libraries have loaded by themselves, without Python knowing."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if "x" in fields[1] and len(fields) == 6 and fields[5].startswith("/"):
            _note("library", fields[5])


_exit = os._exit


def _end_at_once(code: int) -> None:
    _mapped()
    _exit(code)


_note("process", *sys.orig_argv)
sys.addaudithook(_hook)
if Path("/proc/self/maps").exists():
    atexit.register(_mapped)
    os._exit = _end_at_once  # type: ignore[assignment]
