"""What MISO's answers look like: cells as text, refusals, and damage."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.base import Answer
from aurum_etl.simulator.invented import decimal_text

if TYPE_CHECKING:
    from datetime import datetime

CONTENT_FAULTS = frozenset(
    {"wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word"}
)
_HTML = b"<html><body>The service is under maintenance</body></html>"
_GATEWAY_WORDS = {
    401: "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an"
    " API.",
    403: "Out of call volume quota. Quota will be replenished in 12:00:00.",
    404: "Resource not found",
    413: "Payload too large",
    429: "Rate limit is exceeded. Try again in 30 seconds.",
}
_BAD_KEY = "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."


class NoSuchFile(Exception):
    """The market reports have no file of that name."""


class NoData(Exception):
    """The Data Exchange has nothing for what is asked."""


class BadArgument(Exception):
    """The Data Exchange does not understand what is asked."""


def short_text(cents: pl.Expr) -> pl.Expr:
    """As the files print it, without needless zeros: `29`, `30.5`, `-.94`."""
    return decimal_text(cents, 2).str.replace(r"^(-?)0\.", "${1}.")


def fixed_text(units: pl.Expr, digits: int = 2) -> pl.Expr:
    """As the displays print it, with all its places: `0.00`, `-48.77`."""
    size = 10**digits
    text = (units.abs() // size).cast(pl.String) + "." + (units.abs() % size).cast(pl.String).str.zfill(digits)
    return pl.when(units < 0).then("-" + text).otherwise(text)


def html_page() -> Answer:
    """A page where data should be."""
    return Answer(200, {"Content-Type": "text/html"}, _HTML)


def no_such_file(now: datetime) -> Answer:
    """What the storage behind the market reports says."""
    text = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code><Message>The specified blob does not'
        f" exist.\nTime:{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.0000000Z</Message></Error>"
    )
    return Answer(404, {"Content-Type": "application/xml", "x-ms-error-code": "BlobNotFound"}, text.encode())


def no_page(status: int = 404) -> Answer:
    """What servers say that know no more than a status."""
    return Answer(status, {"Content-Type": "text/html"}, f"<html><body>{status}</body></html>".encode())


def gateway_refusal(status: int, *, bad_key: bool = False) -> Answer:
    """What the gateway in front of the Data Exchange says: a status and one sentence."""
    words = _BAD_KEY if bad_key else _GATEWAY_WORDS.get(status, "Internal server error")
    return Answer(status, {"Content-Type": "application/json"}, _compact({"statusCode": status, "message": words}))


def exchange_refusal(status: int, reason: str) -> Answer:
    """What the Data Exchange itself says."""
    return Answer(status, {"Content-Type": "application/json"}, _compact({"status": status, "reason": reason}))


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
