"""The promise of one ISO's simulator, and the faults that can be asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULTS: dict[str, str] = {
    "429": "refused as too fast, with the ISO's own body",
    "503": "refused as overloaded; with SECONDS, with a Retry-After",
    "retry_after": "refused as too fast, with a Retry-After of SECONDS",
    "retry_date": "refused as too fast, with a Retry-After that is a date",
    "slow": "the body comes in drops",
    "trickle": "the body comes byte by byte, and takes SECONDS: by default an hour",
    "hang": "nothing comes for SECONDS, by default an hour; then the connection is closed",
    "refuse_connection": "the host restarts: its connections break, and it takes none for SECONDS",
    "wrong_type": "an error in json, or a login page where json was asked for, labelled as the data",
    "reset": "the connection breaks in the middle of the body",
    "cut_zip": "the zip ends in the middle",
    "corrupt_member": "a member's bytes do not fit its checksum",
    "html": "an html page with status 200",
    "too_large": "refused as too much at once, in the ISO's own form",
    "error:CODE": "an error document with the ISO's code",
    "wrong_header": "a needed column has another name",
    "text_in_number": "a word where a number should be",
    "off_grid": "an interval that starts seven minutes late",
    "duplicate_rows": "some rows stand twice",
    "missing_hour": "the first interval is nowhere",
    "unknown_word": "a component or item that nobody has heard of",
}
"""Kinds of faults, with what they do."""

SHAPE_FAULTS: dict[str, str] = {
    "empty": "the right form without a row",
    "one_object": "one object where there are many rows",
}
"""Kinds that only some ISOs' forms can have; the others answer as if nothing was the matter."""


SECONDS: dict[str, float | None] = {
    "retry_after": 1.0,
    "retry_date": 1.0,
    "503": None,
    "slow": 3.0,
    "trickle": 3600.0,
    "hang": 3600.0,
    "refuse_connection": 2.0,
}
"""Kinds that can be told how long, with what they take it to be otherwise."""

_WRITTEN = re.compile(r"(?P<kind>error:\d+|[^:@]+)(?:@(?P<seconds>\d+(?:\.\d+)?))?(?::(?P<times>\d+))?")


@dataclass(slots=True)
class Fault:
    """A fault for the next `times` requests whose query holds all of `match`."""

    kind: str
    times: int = 1
    match: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    """How long it lasts, or asks to be left alone; None as that kind does by itself."""

    def __post_init__(self) -> None:
        known = self.kind in {*FAULTS, *SHAPE_FAULTS} - {"error:CODE"}
        if not known and not (self.kind.startswith("error:") and self.kind[6:].isdecimal()):
            raise ValueError(f'fault "{self.kind}" is not one of {", ".join([*FAULTS, *SHAPE_FAULTS])}')
        if self.times < 1:
            raise ValueError(f"fault {self.kind}: {self.times} times is not at least once")
        if self.seconds is None:
            self.seconds = SECONDS.get(self.kind)
        elif self.kind not in SECONDS:
            raise ValueError(f"fault {self.kind}: has no seconds; those that have are {', '.join(SECONDS)}")
        elif self.seconds <= 0:
            raise ValueError(f"fault {self.kind}: {self.seconds} seconds are not more than none")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """A fault from `KIND[@SECONDS][:TIMES]`, such as `503:2`, `hang@1.5` or `error:1000:3`."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(
                f'fault "{text}" is not of the form KIND[@SECONDS][:TIMES]; kinds are {", ".join([*FAULTS, *SHAPE_FAULTS])}'
            )
        seconds = found["seconds"]
        return cls(found["kind"], int(found["times"] or 1), seconds=None if seconds is None else float(seconds))


def damaged(body: bytes, fault: str | None) -> bytes:
    """The body after a fault of bytes: cut, or with some of them turned over."""
    if fault == "cut_zip":
        return body[: len(body) * 2 // 3]
    if fault == "corrupt_member":
        third = len(body) // 3
        return body[:third] + bytes(255 - each for each in body[third : third + 8]) + body[third + 8 :]
    return body


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def mislabelled(answer: Answer) -> Answer:
    """What a proxy puts in the place of an answer, under the answer's own headers."""
    kind = next((text for name, text in answer.headers.items() if name.lower() == "content-type"), "")
    body = b'{"error": {"code": 1042, "message": "session expired"}}'
    if "json" in kind:
        body = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Password</form></body></html>"
    return Answer(200, answer.headers, body)


@dataclass(slots=True)
class Served:
    """One request that came, for counting and for looking at."""

    iso: str
    """As in the variables that point a run at it: `CAISO`."""
    host: str
    """Which of the ISO's hosts: a key of `IsoSimulator.prefixes`."""
    path: str
    query: Mapping[str, str]
    started: float
    """Seconds of the server's monotonic clock."""
    at_once: int
    """How many requests the host had in work when this one had begun, with it."""
    violation: str | None
    """Which of the host's limits it did not keep, in words."""
    fault: str | None = None
    status: int = 0
    """0 where nothing was answered."""
    sent: int = 0
    """Bytes of the body that went out."""
    seconds: float | None = None
    """From its beginning to the last byte; None while it is in work."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it came."""

    method: str
    host: str
    """Which of the ISO's hosts: a key of `IsoSimulator.prefixes`."""
    path: str
    """What follows the host's prefix, with a slash in front."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By lower-case names."""
    body: bytes


class IsoSimulator(Protocol):
    """One ISO."""

    name: str
    """As in the variables that point a run at it: `CAISO`."""
    prefixes: Mapping[str, str]
    """Where below the server's root each of its hosts stands: `""` is the main one (`AURUM_CAISO_BASE`), another word
    one beside it (`OUTLOOK` for `AURUM_CAISO_OUTLOOK_BASE`)."""
    credentials: Mapping[str, str]
    """Variables with the test credentials that it accepts; empty where the ISO asks for none."""

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """The answer to one request. Credentials and faults of content are its business."""

    def too_fast(self) -> Answer:
        """The answer to a request that came sooner than the limit allows."""

    def too_large(self, asked: Asked) -> Answer:
        """The answer to a request for more than is given at once."""


def payload_too_large() -> Answer:
    """What servers say that have no words of their own for it."""
    return Answer(413, {"Content-Type": "text/html"}, b"<html><body>413 Request Entity Too Large</body></html>")
