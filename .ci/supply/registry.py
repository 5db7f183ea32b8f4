"""What the registry says of what is pinned: known vulnerabilities, yanked files, abandoned projects, ages.

Source: JSON API of the Python Package Index (`/pypi/<name>/<version>/json`), simple API as of PEP 691, 700, 792.
"""

from __future__ import annotations

import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from supply.advisories import Advisory, Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from supply.pins import Pin

T = TypeVar("T")

SIMPLE = {"Accept": "application/vnd.pypi.simple.v1+json"}
AT_A_TIME = 8


def registry_of(lock: Path) -> str:
    """Where uv gets what is pinned, from its own record: no address stands in the project.

    Raises: ValueError if it is more than one place.
    """
    sources = [package["source"] for package in tomllib.loads(lock.read_text())["package"]]
    (place,) = {source["registry"].rstrip("/") for source in sources if "registry" in source}
    return str(place)


class _Unasked(Exception):
    """Why the registry could not be asked."""


class _Client:
    """Asks several things at a time; once the registry cannot be reached at all, it is left alone."""

    def __init__(self, timeout_seconds: float) -> None:
        self._http = httpx.Client(timeout=timeout_seconds, follow_redirects=True)
        self._gone = threading.Event()

    def ask(self, url: str, headers: dict[str, str] | None = None) -> dict[str, Any] | None:
        """The document, or None if there is none.

        Raises: _Unasked if the answer is none to the question.
        """
        if self._gone.is_set():
            raise _Unasked("cannot be reached")
        try:
            answer = self._http.get(url, headers=headers)
        except httpx.TransportError as error:
            self._gone.set()
            raise _Unasked(f"cannot be reached: {type(error).__name__}: {error}") from error
        if answer.status_code in (404, 410):
            return None
        if answer.status_code != 200:
            raise _Unasked(f"answers with status {answer.status_code}")
        try:
            document = answer.json()
        except ValueError as error:
            raise _Unasked(f"answers with no JSON ({answer.headers.get('Content-Type')})") from error
        if not isinstance(document, dict):
            raise _Unasked("answers with something else than a document")
        return document

    def close(self) -> None:
        self._http.close()


def advisories_of(pins: Iterable[Pin], registry: str, timeout_seconds: float = 15) -> Asked:
    """What the JSON API beside the registry knows of these versions.

    Some registries have the document of the newest version alone, which answers for a pin of just that.
    """
    base = registry.removesuffix("/simple") + "/pypi"
    client = _Client(timeout_seconds)

    def one(pin: Pin) -> list[Advisory]:
        document = client.ask(f"{base}/{pin.name}/{pin.version}/json")
        if document is None:
            document = client.ask(f"{base}/{pin.name}/json")
            if document is None:
                raise _Unasked("has no JSON API, or does not know the package")
            if (document.get("info") or {}).get("version") != pin.version:
                raise _Unasked("tells of the newest version alone")
        listed = document.get("vulnerabilities")
        if not isinstance(listed, list):
            raise _Unasked("does not tell of vulnerabilities")
        try:
            return [_advisory(pin, each) for each in listed if not each.get("withdrawn")]
        except (KeyError, TypeError, AttributeError) as error:
            raise _Unasked("tells of vulnerabilities in a form that is not known") from error

    asked = Asked("registry")
    for pin, found in _each(pins, one, client):
        asked.note(pin, found)
    return asked


def _advisory(pin: Pin, said: dict[str, Any]) -> Advisory:
    return Advisory(
        package=pin.name,
        version=pin.version,
        id=said["id"],
        aliases=frozenset(said.get("aliases") or ()),
        summary=said.get("summary") or (said.get("details") or "").partition("\n")[0],
        fixed_in=tuple(said.get("fixed_in") or ()),
    )


@dataclass(slots=True)
class Standing:
    """How the pins stand in the registry."""

    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    published: dict[Pin, datetime] = field(default_factory=dict)
    """When the first of its pinned files was uploaded."""
    unasked: dict[Pin, str] = field(default_factory=dict)


def standing_of(pins: Iterable[Pin], registry: str, timeout_seconds: float = 15) -> Standing:
    """Whether every pinned file is still there, none is yanked, and no project is quarantined; and how old each is."""
    standing = Standing()
    client = _Client(timeout_seconds)

    def one(pin: Pin) -> dict[str, Any]:
        document = client.ask(f"{registry}/{pin.name}/", SIMPLE)
        if document is not None and not isinstance(document.get("files"), list):
            raise _Unasked("does not list files")
        return document or {"files": []}

    for pin, document in _each(pins, one, client):
        if isinstance(document, str):
            standing.unasked[pin] = document
            continue
        files = [each for each in document["files"] if each.get("hashes", {}).get("sha256") in pin.hashes]
        if not files:
            standing.wrong.append(f"{pin.release}: the registry has no file of it any more")
            continue
        if lost := len(pin.hashes) - len(files):
            standing.told.append(f"{pin.release}: {lost} of its {len(pin.hashes)} files are gone")
        if yanked := [each["yanked"] for each in files if each.get("yanked")]:
            reason = next((each for each in yanked if isinstance(each, str)), "no reason given")
            standing.wrong.append(f"{pin.release}: yanked: {reason}")
        status = document.get("project-status") or {}
        if (word := status.get("status", "active")) != "active":
            line = f"{pin.release}: the project is {word}: {status.get('reason') or 'no reason given'}"
            (standing.wrong if word == "quarantined" else standing.told).append(line)
        if times := [each["upload-time"] for each in files if each.get("upload-time")]:
            standing.published[pin] = datetime.fromisoformat(min(times))
    return standing


def _each(pins: Iterable[Pin], one: Callable[[Pin], T], client: _Client) -> list[tuple[Pin, T | str]]:
    """What comes of each pin, or why nothing does."""

    def tried(pin: Pin) -> tuple[Pin, T | str]:
        try:
            return pin, one(pin)
        except _Unasked as reason:
            return pin, str(reason)

    try:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            return list(pool.map(tried, pins))
    finally:
        client.close()
