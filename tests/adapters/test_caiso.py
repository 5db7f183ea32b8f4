"""OASIS: what is asked, and what is made of the answers."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurum_etl.adapters.caiso import CAISO
from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.errors import NoData, SourceChanged, SourceError, SourceUnavailable, TooLarge
from aurum_etl.normalize import Normalized, normalize
from tests.adapters.loopback import EDITS, edited
from tests.frames import chunk, lmp_csv, zip_of

BIG = 10**8


def read(content: bytes, name: str = "f.zip", dataset: str = "caiso_lmp") -> Normalized:
    chosen = {each.key: each for each in CAISO.datasets}[dataset]
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        report = chosen.feed.reports[0]
        return normalize(CAISO.batches(report, path, "here", BIG), chosen, report)


def oasis_error(code: int, prefix: str = "m:") -> bytes:
    tag = prefix.rstrip(":")
    space = f"xmlns:{tag}" if tag else "xmlns"
    return (
        f'<?xml version="1.0"?><{prefix}OASISReport {space}="http://www.caiso.com/soa/OASISReport_v1.xsd"><{prefix}ERROR>'
        f"<{prefix}ERR_CODE>{code}</{prefix}ERR_CODE><{prefix}ERR_DESC>words</{prefix}ERR_DESC>"
        f"</{prefix}ERROR></{prefix}OASISReport>"
    ).encode()


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        (date(2026, 7, 14), "20260714T07:00-0000", "20260715T07:00-0000"),
        (date(2026, 1, 14), "20260114T08:00-0000", "20260115T08:00-0000"),
        (date(2025, 11, 2), "20251102T07:00-0000", "20251103T08:00-0000"),
        (date(2026, 3, 8), "20260308T08:00-0000", "20260309T07:00-0000"),
    ],
)
def test_a_day_is_asked_for_from_pacific_midnight_to_pacific_midnight(day: date, start: str, end: str) -> None:
    """A window of 24 hours loses the last hour of an autumn change day."""
    (ask,) = CAISO.asks(LMP_DAY_AHEAD, chunk(LMP_DAY_AHEAD, day))
    query = dict(ask.request.query)
    assert (query["startdatetime"], query["enddatetime"], query["grp_type"]) == (start, end, "ALL")
    assert (ask.request.path, query["queryname"], query["version"], query["market_run_id"]) == (
        "SingleZip",
        "PRC_LMP",
        "12",
        "DAM",
    )


def test_load_is_asked_for_without_locations() -> None:
    (ask,) = CAISO.asks(LOAD_ACTUAL, chunk(LOAD_ACTUAL))
    assert {"grp_type", "node"} & dict(ask.request.query).keys() == set()
    assert dict(ask.request.query)["market_run_id"] == "ACTUAL"


def test_named_nodes_are_asked_for_ten_at_a_time() -> None:
    names = [f"N{number:02}" for number in range(21)]
    asks = CAISO.asks(LMP_DAY_AHEAD, chunk(LMP_DAY_AHEAD, date(2026, 7, 14), *names))
    asked = [dict(each.request.query)["node"].split(",") for each in asks]
    assert ([len(each) for each in asked], sorted(name for part in asked for name in part)) == ([10, 10, 1], names)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, NoData),
        (1003, SourceUnavailable),
        (1015, SourceUnavailable),
        (1001, SourceChanged),
        (1004, TooLarge),
        (1017, TooLarge),
        (1018, TooLarge),
    ],
)
@pytest.mark.parametrize("prefix", ["m:", ""])
def test_an_error_inside_a_200_zip_keeps_its_code(code: int, kind: type[SourceError], prefix: str) -> None:
    with pytest.raises(kind, match=f"^here: OASIS error {code}: words"):
        read(zip_of(INVALID_REQUEST_xml=oasis_error(code, prefix)))


def test_a_group_that_is_being_prepared_is_asked_for_later() -> None:
    with pytest.raises(SourceUnavailable) as caught:
        read(zip_of(x_xml=oasis_error(1015)))
    assert caught.value.wait_seconds == 20


def test_a_zip_without_members_can_be_tried_again() -> None:
    with pytest.raises(SourceUnavailable, match="no member"):
        read(zip_of())


XML = """<OASISReport xmlns="http://www.caiso.com/soa/OASISReport_v1.xsd"><MessagePayload><RTO><name>CAISO</name><REPORT_ITEM>
<REPORT_HEADER><REPORT>SLD_FCST</REPORT><MKT_TYPE>ACTUAL</MKT_TYPE></REPORT_HEADER>
<REPORT_DATA><DATA_ITEM>SYS_FCST_ACT_MW</DATA_ITEM><RESOURCE_NAME>CA ISO-TAC</RESOURCE_NAME>
<INTERVAL_START_GMT>2016-05-20T19:00:00-00:00</INTERVAL_START_GMT><INTERVAL_END_GMT>2016-05-20T20:00:00-00:00</INTERVAL_END_GMT>
<VALUE>{value}</VALUE></REPORT_DATA></REPORT_ITEM></RTO></MessagePayload></OASISReport>"""


def test_the_older_xml_form_gives_the_same_columns() -> None:
    frame = read(XML.format(value="26127.08").encode(), "f.xml", "caiso_load").frame
    assert frame.select("iso_location_id", "iso_location_type", "load_mw").row(0) == ("CA ISO-TAC", "SYSTEM", 26127.08)


def test_the_older_xml_form_refuses_what_the_csv_form_refuses() -> None:
    with pytest.raises(SourceChanged, match='column MW holds "n/a"'):
        read(XML.format(value="n/a").encode(), "f.xml", "caiso_load")
    with pytest.raises(SourceChanged, match="cannot be read from the xml form"):
        read(XML.format(value="1").encode(), "f.xml", "caiso_lmp")


WHOLE = zip_of(
    LMP_csv=lmp_csv(
        *((f"2026-07-14T{hour:02}:00", node, "LMP", "37.19566") for hour in range(7, 24) for node in "ABC")
    ),
    MCE_csv=lmp_csv(*((f"2026-07-14T{hour:02}:00", node, "MCE", "-1") for hour in range(7, 24) for node in "ABC")),
)
CSV = lmp_csv(*((f"2026-07-14T{hour:02}:00", "A", "LMP", "37.19566") for hour in range(7, 24)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([(WHOLE, "f.zip"), (CSV, "f.csv"), (XML.encode(), "f.xml")]), EDITS)
def test_whatever_comes_is_read_or_refused_in_typed_words(
    payload: tuple[bytes, str], mutations: list[tuple[str, int, bytes]]
) -> None:
    for dataset in ("caiso_lmp", "caiso_load"):
        try:
            read(edited(payload[0], mutations), payload[1], dataset)
        except SourceError as error:
            assert str(error).startswith("here: ")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_noise_is_refused_in_typed_words(content: bytes) -> None:
    for name in ("f.zip", "f.csv", "f.xml"):
        with pytest.raises(SourceError):
            read(content, name)


def test_a_shuffled_payload_is_the_same_frame() -> None:
    lines = CSV.decode().splitlines()
    shuffled = [lines[0], *random.Random(3).sample(lines[1:], len(lines) - 1)]
    assert read("\n".join(shuffled).encode(), "f.csv").frame.equals(read(CSV, "f.csv").frame)
