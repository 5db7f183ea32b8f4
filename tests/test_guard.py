"""What is not ours reaches standard error without secrets as well: only a process of its own can show it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SECRET = "Head-canary'\"\\ of a-Tail"
CAUSES = {
    "an error that nobody foresaw": "raise ValueError(SECRET)",
    "one with a cause": "try:\n    int(SECRET)\nexcept ValueError as error:\n    raise KeyError(SECRET) from error",
    "one in a thread": "thread = threading.Thread(target=lambda: int(SECRET))\nthread.start(); thread.join()",
    "one that cannot be raised": "class Broken:\n    def __del__(self): raise ValueError(SECRET)\nBroken()",
    "a warning": "warnings.warn(SECRET)",
    "a library that logs": "logging.getLogger('urllib3.connectionpool').warning('retrying %s after %r', SECRET, SECRET)",
    "one that logs an error": "try:\n    int(SECRET)\nexcept ValueError:\n    logging.getLogger('hvac').exception('no')",
    "a handler that it brings": (
        "handler = logging.StreamHandler(sys.__stderr__)\nlogging.getLogger('distributed').addHandler(handler)\n"
        "try:\n    int(SECRET)\nexcept ValueError:\n    logging.getLogger('distributed').exception('task %s', SECRET)"
    ),
    "somebody who prints": "print('see', SECRET, file=sys.stderr)",
    "lines of bars": "sys.stderr.writelines(['a\\n', SECRET + '\\n'])",
    "an event": "telemetry.configure('debug', as_json=False)\ntelemetry.logger().info('sent', to=[SECRET], by={'x': SECRET})",
    "an event as json": "telemetry.configure('debug', as_json=True)\ntelemetry.logger().info('sent', to=[SECRET])",
    "an event with an error": (
        "telemetry.configure('debug', as_json=False)\nhidden = SECRET\n"
        "try:\n    int(SECRET)\nexcept ValueError:\n    telemetry.logger().exception('crashed')"
    ),
    "an event with an error as json": (
        "telemetry.configure('debug', as_json=True)\n"
        "try:\n    int(SECRET)\nexcept ValueError:\n    telemetry.logger().exception('crashed')"
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_nothing_secret_reaches_standard_error(cause: str) -> None:
    # Neither a traceback's own lines of source nor the command line are to hold it.
    begin = (
        "import logging, sys, threading, warnings\nfrom aurum_etl import telemetry\nfrom aurum_etl.guard import guard\n"
        "from aurum_etl.redaction import know\nSECRET = sys.stdin.read()\nknow(SECRET)\nguard(); guard()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", begin + CAUSES[cause]],
        input=SECRET,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "…" in ended.stderr.replace("\\u2026", "…"), "something was hidden"
    assert "Head" not in ended.stderr
    assert "Tail" not in ended.stderr
    assert ended.stdout == ""
