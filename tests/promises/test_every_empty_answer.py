"""Only the source's own word makes a day empty: an answer that was cut to nothing, or is something else, never does."""

from __future__ import annotations

import io
import itertools
import zipfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import pytest

from aurum_etl.download import Fetched
from aurum_etl.receipt import Outcome
from tests.promises.test_every_dataset import FEEDS, SUMMER, load, newest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aurum_etl.archive import Answer, Request
    from aurum_etl.download import Source
    from aurum_etl.settings import Settings

T = TypeVar("T")


def unknown(_: object) -> None:
    """Nobody counts."""


def _empty_zip() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w"):
        pass
    return body.getvalue()


def _without_rows(content: bytes) -> bytes:
    """A csv down to its first line, in a zip or by itself; anything else down to a half."""
    if content.startswith(b"PK"):
        return content[: len(content) // 2]
    if content.lstrip()[:1] in (b"{", b"["):
        return content[: len(content) // 2]
    return content[: content.find(b"\n") + 1]


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "blanks": lambda _: b" \r\n\n",
    "html": lambda _: b"<html><body>We are sorry</body></html>",
    "half": lambda content: content[: len(content) // 2],
    "first line": _without_rows,
    "empty list": lambda _: b"[]",
    "empty object": lambda _: b"{}",
    "empty zip": lambda _: _empty_zip(),
    "a notice": lambda _: b"Rate limit is exceeded. Try again in 30 seconds.\n",
}


@dataclass
class Cut:
    """A source whose answers are cut: all of them, or all but the first, which may be a list that leads to the others."""

    source: Source
    cut: Callable[[bytes], bytes]
    known: dict[str, Answer]
    """Whole answers, by the identities of their requests: each is asked for once."""
    spared: int
    came: list[str] = field(default_factory=list)

    def get(
        self,
        request: Request,
        accept: Callable[[Answer], T],
        *,
        chunk_key: str,
        records: Callable[[T], int | None] = unknown,  # noqa: ARG002
    ) -> Fetched[T]:
        self.came.append(request.path)
        if request.identity not in self.known:
            self.known[request.identity] = self.source.get(request, lambda each: each, chunk_key=chunk_key).value
        answer = self.known[request.identity]
        if len(self.came) > self.spared:
            left = self.cut(answer.body.read_bytes())
            body = answer.body.with_suffix(".cut")
            body.write_bytes(left)
            answer = replace(answer, body=body, size=len(left))
        return Fetched(accept(answer), answer, 1)


@pytest.mark.parametrize("key", FEEDS)
def test_an_answer_that_was_cut_never_makes_a_day_empty(key: str, settings: Settings, tmp_path: Path) -> None:
    dataset = FEEDS[key]
    dataset = replace(dataset, feeds=tuple(replace(feed, bulk="") for feed in dataset.feeds))
    day = SUMMER
    if dataset.is_of_now or dataset.feed.kept_days is not None:
        day = newest(dataset)
    known: dict[str, Answer] = {}
    for spared, (name, cut) in itertools.product((0, 1), CUTS.items()):
        made: list[Cut] = []

        def through(
            source: Source, cut: Callable[[bytes], bytes] = cut, spared: int = spared, made: list[Cut] = made
        ) -> Source:
            made.append(Cut(source, cut, known, spared))
            return made[-1]

        receipts, frame = load(dataset, day, settings, tmp_path, through)
        if len(made[0].came) <= spared:
            # There was one request, and it was spared.
            return
        outcomes = [each.outcome for each in receipts]
        if name == "half":
            # A bare csv that ends at the end of a line is none the worse for it, and has gaps that are told.
            assert Outcome.EMPTY not in outcomes
            continue
        assert outcomes == [Outcome.FAILED], f"{name}, {spared} spared: {receipts}"
        assert frame.is_empty()
