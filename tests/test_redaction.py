"""What nobody may see is hidden in any spelling, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import pickle
import urllib.parse
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aurum_etl import redaction
from aurum_etl.errors import SinkUnavailable, in_words
from aurum_etl.redaction import address_of, hidden_in, know, know_address, redacted, shown, start_of, without_known_in

if TYPE_CHECKING:
    from collections.abc import Callable

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent-encoded": lambda value: urllib.parse.quote(value, safe=""),
    "percent-encoded by a browser": urllib.parse.quote,
    "percent-encoded in small letters": lambda value: urllib.parse.quote(value, safe="").lower(),
    "percent-encoded twice": lambda value: urllib.parse.quote(urllib.parse.quote(value, safe=""), safe=""),
    "of a form": urllib.parse.quote_plus,
    "json": json.dumps,
    "json of a text that is no ascii": lambda value: json.dumps(value, ensure_ascii=False),
    "json in json": lambda value: json.dumps(json.dumps(value)),
    "json, percent-encoded": lambda value: urllib.parse.quote(json.dumps(value), safe=""),
    "json in a repr": lambda value: repr(json.dumps(value)),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda value: repr(value.encode()),
    "sql": lambda value: value.replace("'", "''"),
    "libpq": lambda value: value.replace("\\", "\\\\").replace("'", "\\'"),
    "csv": lambda value: value.replace('"', '""'),
    "html": html.escape,
    "html by numbers": lambda value: "".join(each if each.isalnum() else f"&#{ord(each)};" for each in value),
    "json of a careful server": lambda value: "".join(
        each if each.isalnum() and each.isascii() else f"\\u{ord(each):04x}" for each in value
    ),
    "one line": lambda value: " ".join(value.split(" ")),
    "basic header": lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
}
SHAPES = {
    "plain": "Head0123456789Tail",
    "percent": "Head%20/@ :?&#+=Tail",
    "quotes": "Head'x\"y\\zTail",
    "dollar": "Head$HOME$$Tail",
    "json": 'Head{"a": [1]}Tail',
    "letters": "Headwörd–ßTail",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_known_value_is_hidden_in_every_spelling(shape: str, spelling: str) -> None:
    if spelling == "percent-encoded in small letters" and shape != "percent":
        return
    value = SHAPES[shape]
    know(value, f"user:{value}")
    spelled = SPELLINGS[spelling](value)
    if spelling == "percent-encoded in small letters":
        spelled = spelled.replace("head", "Head").replace("tail", "Tail")
    told = redacted(f"it said {spelled} and no more")
    assert told.startswith("it said ")
    assert told.endswith(" and no more")
    assert "Head" not in told
    assert "Tail" not in told
    assert base64.b64encode(value.encode()).decode()[4:-4] not in told


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=16, max_size=40),
    st.sampled_from(
        ["as it is", "percent-encoded", "json", "repr", "ascii", "sql", "html", "json in json", "json, percent-encoded"]
    ),
)
def test_any_value_is_hidden_in_any_spelling(value: str, spelling: str) -> None:
    assume(value == value.strip() and len(set(value)) > 4)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(redaction, "_known", ())
        know(value)
        spelled = SPELLINGS[spelling](value)
        assert spelled.strip("'\"\\") not in redacted(f"<<{spelled}>>")


def test_a_short_value_is_hidden_only_where_the_words_around_it_tell() -> None:
    know("ab")
    assert redacted("about password=ab") == "about password=…"


def test_a_word_is_hidden_where_it_stands_alone() -> None:
    know("postgres")
    assert redacted("postgres, postgresql and my_postgres") == "…, postgresql and my_postgres"
    assert redacted("user%3Apostgres%40 says\\npostgres") == "user%3A…%40 says\\n…"


def test_of_two_values_the_longer_one_is_hidden_whole() -> None:
    know("canary-one-1234567", "canary-one-1234567-and-more-89")
    assert redacted("canary-one-1234567-and-more-89 canary-one-1234567") == "… …"


def test_several_keys_are_hidden_one_by_one() -> None:
    know("key-of-one-person, key-of-another,abc")
    assert redacted("sent key-of-another; abc") == "sent …; abc"


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("postgresql://u:Head%40Tail@h/db", 'could not connect with "Head@Tail"'),
        ("postgresql://u:Head/x@h:port/db", 'invalid port number: "Head"'),
        ("postgresql://u:HeadPart@x#TailPart@h/db", 'could not translate host name "TailPart"'),
        ("postgresql://h/db?user=u&password=Head%2FTail&sslpassword=HeadTwoTail", "Head/Tail and HeadTwoTail"),
        ("host=h password='Head\\'s Tail' user=u", "FATAL: Head's Tail"),
        ("host=h password=HeadWord TailWord dbname=x", 'missing "=" after "TailWord" in connection info string'),
        ("host=h password = HeadTail", "HeadTail"),
        ("http://one:HeadOfOne@a:1,http://two:TailOfTwo@b:2", "HeadOfOne or TailOfTwo"),
        ("https://HeadTokenWithoutName@h/x", "HeadTokenWithoutName"),
        ("https://h/x?subscription-key=HeadTail", "HeadTail"),
        ("http://user:HeadTail@h", f"header {base64.b64encode(b'user:HeadTail').decode()}"),
    ],
)
def test_the_password_of_an_address_is_hidden_however_it_is_misread(address: str, complaint: str) -> None:
    know_address(address)
    for text in (complaint, address):
        assert "Head" not in redacted(text)
        assert "Tail" not in redacted(text)
    assert "SGVhZFRhaW" not in redacted(complaint)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot open postgresql://me:x@h:5/db?a=1", "cannot open postgresql://…@h:5/db?a=1"),
        ("host=h password='a b' dbname=d", "host=h password=… dbname=d"),
        ("KAFKA_SASL_PASSWORD=abc next", "KAFKA_SASL_PASSWORD=… next"),
        ('{"client_secret": "a\\"b", "n": 1}', '{"client_secret": "…", "n": 1}'),
        ("{'api_key': 'abc'}", "{'api_key': \"…\"}"),
        ('"{\\"password\\": \\"abc\\"}"', '"{\\"password\\": \\"…\\"}"'),
        ("Authorization: Basic dTpw\r\nHost: h", "Authorization: …\r\nHost: h"),
        ("('authorization', 'Bearer x')", "('authorization', '…')"),
        ("Ocp-Apim-Subscription-Key: 12ab", "Ocp-Apim-Subscription-Key: …"),
        ("sent Bearer abcdef0123456789", "sent Bearer …"),
        ("GET /x?key=abc&n=1", "GET /x?key=…&n=1"),
        ("<Password>abc</Password>", "<Password>…</Password>"),
        ("token eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln", "token …"),
        ("AKIAABCDEFGHIJKLMNOP", "…"),
        ("hvs.abcdefghijklmnopqrstuvwx", "…"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "…\n"),
    ],
)
def test_what_nobody_has_told_of_is_found_by_the_words_around_it(text: str, told: str) -> None:
    assert redacted(text) == told
    assert redacted(told) == told, "hidden once, hidden for good"


@pytest.mark.parametrize(
    "text",
    [
        "chunk.failed chunk=caiso_lmp[3:61ea93013356]@20261123T0800Z/20261124T0800Z",
        '{"key": "caiso_lmp[ALL]", "credentials": ["PJM_API_KEY"], "token": null}',
        "check the password in TIMESCALE_CONNECTION",
        "Basic authentication is not what is asked for",
        "PJM_API_KEY: secret: vault:iso/pjm#api_key holds nothing",
        "tokens: 3; the secret of it; key=caiso_lmp",
        "mail me@example.com, see https://example.com/a@b",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_fields_are_hidden_by_their_names_and_references_are_not() -> None:
    know("a-long-canary-value")
    event = {
        "chunk": "k[ALL]@x",
        "password": "short",
        "n": 3,
        "deep": [{"secret_id": "x", "secret": "vault:iso/pjm"}, ("a-long-canary-value", None, True)],
        "object": ValueError("a-long-canary-value"),
    }
    assert hidden_in(event) == {
        "chunk": "k[ALL]@x",
        "password": "…",
        "n": 3,
        "deep": [{"secret_id": "…", "secret": "vault:iso/pjm"}, ["…", None, True]],
        "object": "…",
    }


def test_text_is_cut_after_its_secrets_are_hidden() -> None:
    know("a-long-canary-value")
    assert start_of("x" * 5 + " a-long-canary-value y", 10) == "xxxxx … y"
    assert start_of("a-long-canary-value" + "x" * 20, 5) == "…xxxx…"


def test_arguments_and_addresses_are_shown_without_keys() -> None:
    know("a-long-canary-value")
    query = [("queryname", "PRC_LMP"), ("api_key", "abc"), ("from", "2026-07-14T07:00"), ("q", "a-long-canary-value")]
    assert shown(query) == "queryname=PRC_LMP&api_key=…&from=2026-07-14T07:00&q=…"
    assert address_of("http://u:p@h:80/a?key=1", query[:1]) == "http://h:80/a?key=…&queryname=PRC_LMP"
    assert address_of("http://u:a-long-canary-value@[h") == "http://…@[h", "even where it is none"


def test_rows_are_searched_for_what_is_no_word_and_nothing_else() -> None:
    know("postgres", "a-long-canary-value", "'\"$%&/()'\"$%&/()")
    column = pl.Series(["postgres", None, "x a-long-canary-value", "password=abc"])
    assert without_known_in(column).to_list() == ["postgres", None, "x …", "password=abc"]
    assert column.to_list()[2] == "x a-long-canary-value", "the rows themselves stay"


def test_an_error_is_without_secrets_from_the_beginning_and_wherever_it_travels() -> None:
    know("a-long-canary-value")
    error = pickle.loads(pickle.dumps(SinkUnavailable("timescale: a-long-canary-value was refused")))
    assert (str(error), error.args) == ("timescale: … was refused", ("timescale: … was refused",))
    assert in_words(ValueError("a-long-canary-value")) == "ValueError: …"
