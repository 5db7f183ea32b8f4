"""MISO: what is made of pages of the Data Exchange and of displays, and of whatever comes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurum_etl.errors import (
    AccessDenied,
    AurumError,
    NoData,
    SourceChanged,
    SourceError,
    SourceUnavailable,
    TooLarge,
)
from aurum_etl.validate import validate
from tests.adapters.loopback import EDITS, edited
from tests.adapters.test_miso import ABOVE, ROWS, WIDE, dataset, read, weekly, wide


def page(*rows: dict[str, Any], number: int = 1, pages: int = 1, total: int | None = None) -> bytes:
    told = {
        "pageNumber": number,
        "pageSize": 100,
        "totalElements": len(rows) if total is None else total,
        "totalPages": pages,
        "lastPage": number >= pages,
    }
    return json.dumps({"data": rows, "page": told}).encode()


def times(start: str = "2026-07-14 00:00:00.000", resolution: str = "hourly") -> dict[str, str]:
    return {"resolution": resolution, "start": start, "end": start, "value": "x"}


def priced(node: str = "ALTW.WELLS1", lmp: float = 21.6, **more: object) -> dict[str, Any]:
    return {
        "interval": "1",
        "timeInterval": times(),
        "node": node,
        "lmp": lmp,
        "mcc": 0.02,
        "mec": 20.94,
        "mlc": 0.64,
    } | more


# What is made of answers: the Data Exchange


def test_a_page_has_the_energy_component() -> None:
    frame = read(page(priced()), "p.json", dataset("miso_lmp", "api")).frame
    assert frame.select("price_total", "price_energy", "price_congestion", "price_loss").row(0) == (
        21.6,
        20.94,
        0.02,
        0.64,
    )
    assert frame["interval_start"][0] == datetime(2026, 7, 14, 5, tzinfo=UTC)


def test_components_add_up_to_the_price_within_the_published_rounding() -> None:
    of = dataset("miso_lmp", "api")
    frame = read(page(priced("A", 21.62), priced("B", 21.63)), "p.json", of).frame
    verdict = validate(frame, of.contract, of.checks)
    assert (len(verdict.accepted), verdict.rejected["check"].to_list()) == (1, ["price_equals_its_components"])


def test_the_times_may_stand_under_either_name() -> None:
    of = dataset("miso_lmp_rt60", "api")
    one = priced("A", preliminaryFinal="Final")
    other = priced("B", preliminaryFinal="Final")
    del one["interval"], other["interval"]
    other["interval"] = other.pop("timeInterval")
    result = read(page(one, other), "p.json", of)
    assert (result.frame["iso_location_id"].to_list(), result.drift) == (["A", "B"], ())
    assert read(page(other), "p.json", of).frame["interval_start"][0] == datetime(2026, 7, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize("form", ["one object", "a bare list", "reordered"])
def test_other_shapes_of_the_same_rows_are_read(form: str) -> None:
    of = dataset("miso_lmp", "api")
    row = priced()
    shapes: dict[str, object] = {
        "one object": {"data": row},
        "a bare list": [row],
        "reordered": {"page": {}, "data": [dict(reversed(row.items()))]},
    }
    assert read(json.dumps(shapes[form]), "p.json", of).frame.equals(read(page(row), "p.json", of).frame)


def test_rows_of_the_other_mark_or_resolution_are_not_taken() -> None:
    of = dataset("miso_lmp_rt60", "api")
    rows = [
        priced("A", preliminaryFinal="Final"),
        priced("B", preliminaryFinal="Preliminary"),
        priced("C", preliminaryFinal="Final", timeInterval=times(resolution="5min")),
        priced("D", preliminaryFinal="string"),
        priced("E", preliminaryFinal="Final", timeInterval=times(resolution="weekly")),
    ]
    result = read(page(*rows), "p.json", of)
    assert (result.frame["iso_location_id"].to_list(), result.passed_over) == (["A"], 2)
    assert sorted(result.unplaced.select("column", "value").rows()) == [
        ("preliminaryFinal", "string"),
        ("timeInterval.resolution", "weekly"),
    ]
    with pytest.raises(SourceChanged, match="column preliminaryFinal holds Preliminary alone, expected Final"):
        read(page(rows[1]), "p.json", of)


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", SourceUnavailable, "empty body"),
        (b"<html>busy</html>", SourceUnavailable, "html page.*busy"),
        (page(priced())[:-40], SourceUnavailable, "cut short"),
        (page(priced())[:60], SourceUnavailable, "cut short"),
        (page(), NoData, "holds no rows"),
        (b'{"data":[]}', SourceUnavailable, "does not say that there are none"),
        (b'{"statusCode":404,"message":"Resource not found"}', SourceChanged, "expected data"),
        (b'{"statusCode":413,"message":"Payload too large"}', TooLarge, "413: Payload"),
        (b'{"status":404,"reason":"Empty data returned for date"}', NoData, "Empty data returned"),
        (b'{"statusCode":429,"message":"Rate limit is exceeded."}', SourceUnavailable, "429: Rate limit"),
        (b'{"statusCode":503,"message":"Down"}', SourceUnavailable, "503: Down"),
        (
            b'{"statusCode":401,"message":"Access denied due to missing subscription key"}',
            AccessDenied,
            "401: Access denied due to missing",
        ),
        (b'{"rows":[]}', SourceChanged, "expected data; found rows"),
        (b'{"data":"none"}', SourceChanged, "holds no objects"),
        (b"7", SourceChanged, "expected data"),
        (b"soon", SourceChanged, "expected json"),
        (page({**priced(), "lmp": "n/a"}), SourceChanged, 'column lmp holds "n/a"'),
        (page({key: value for key, value in priced().items() if key != "mec"}), SourceChanged, "column mec is missing"),
        (page(priced(node=None)), SourceChanged, "column node is empty"),  # type: ignore[arg-type]
        (page(priced(timeInterval=times("2026-07-14 00:30:00.000"))), SourceChanged, "not on the grid"),
        (page(priced(timeInterval=times("2026-07-14 25:00:00.000"))), SourceChanged, "no wall-clock time"),
        (page(priced(timeInterval=None)), SourceChanged, "timeInterval.start"),
        (page(priced(), priced(interval=times())), SourceChanged, "the objects are not alike"),
    ],
)
def test_what_is_no_page_is_refused(content: bytes, kind: type[AurumError], message: str) -> None:
    with pytest.raises(kind, match=f"(?s)^here/p.json: .*{message}"):
        read(content, "p.json", dataset("miso_lmp", "api"))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("miso_lmp", "lmp-exante.json"),
        ("miso_lmp_exante", "lmp_expost.json"),
        ("miso_lmp_rt60", "real_time_date_lmp_exante.json"),
        ("miso_lmp_rt5", "day-ahead_lmp_expost.json"),
        ("miso_asm", "asm_exante.json"),
        ("miso_asm_rt60", "asm_summary.json"),
    ],
)
def test_a_file_of_a_sibling_is_refused_by_its_name(key: str, name: str) -> None:
    """Nothing in the rows tells ex-ante prices from ex-post ones."""
    feed = "api"
    with pytest.raises(SourceChanged, match="by its name it is no"):
        read(page(priced()), name, dataset(key, feed))


def test_a_real_time_answer_is_no_day_ahead_one_whatever_its_name() -> None:
    with pytest.raises(SourceChanged, match="column preliminaryFinal is one of real-time answers"):
        read(page(priced(preliminaryFinal="Final")), "p.json", dataset("miso_lmp", "api"))


def test_products_of_the_data_exchange_are_all_known() -> None:
    products = ("Regulation", "Spin", "Supplemental", "STR", "Ramp-up", "Ramp-down", "Mileage", "SER", "Reg-X")
    rows = [
        {"timeInterval": times(), "product": product, "zone": "Zone 1", "mcp": number}
        for number, product in enumerate(products)
    ]
    result = read(page(*rows), "p.json", dataset("miso_asm"))
    services = dict(result.frame.select("service_native", "service").iter_rows())
    assert services == {
        "Regulation": "REGULATION",
        "Spin": "SPINNING",
        "Supplemental": "NON_SPINNING",
        "STR": "SHORT_TERM",
        "Ramp-up": "RAMP_UP",
        "Ramp-down": "RAMP_DOWN",
        "Mileage": "MILEAGE",
        "SER": "REGULATION",
    }
    assert result.unplaced.select("column", "value").rows() == [("product", "Reg-X")] * result.unplaced.height


def test_a_kind_of_node_that_nobody_knows_goes_to_quarantine() -> None:
    rows = [{"node": "A", "nodeType": "Hubs"}, {"node": "B", "nodeType": "Portals"}]
    result = read(page(*rows), "p.json", dataset("miso_pnode"))
    assert result.frame.select(
        "iso_location_id", "iso_location_type", "location_type_native", "effective_start"
    ).rows() == [("A", "HUB", "Hubs", None)]
    assert result.unplaced["value"].unique().to_list() == ["Portals"]


def test_the_parts_of_the_load_and_the_whole_are_kinds_of_places() -> None:
    rows = [{"timeInterval": times(), "region": region, "load": 1} for region in ("MISO", "NORTH")]
    frame = read(page(*rows), "p.json", dataset("miso_load")).frame
    assert dict(frame.select("iso_location_id", "iso_location_type").iter_rows()) == {
        "MISO": "SYSTEM",
        "NORTH": "REGION",
    }
    with pytest.raises(SourceChanged, match="localResourceZone is missing"):
        read(page(*rows), "p.json", dataset("miso_load"), 1)


def test_every_version_of_a_load_forecast_is_kept() -> None:
    rows = [
        {"timeInterval": times(), "region": "NORTH", "localResourceZone": "Z1", "loadForecast": mw, "init": init}
        for mw, init in ((1349, "2026-07-13"), (1350, "2026-07-14"))
    ]
    frame = read(page(*rows), "p.json", dataset("miso_load_forecast")).frame
    assert frame.select("published_at", "load_mw").rows() == [
        (datetime(2026, 7, 13, 5, tzinfo=UTC), 1349.0),
        (datetime(2026, 7, 14, 5, tzinfo=UTC), 1350.0),
    ]


# What is made of answers: displays


def mix(*rows: tuple[str, str, object]) -> str:
    listed = [{"INTERVALEST": at, "CATEGORY": fuel, "ACT": mw, "FUEL_CATEGORY": "x"} for at, fuel, mw in rows]
    return json.dumps({"RefId": "x", "TotalMW": "0", "Fuel": {"Type": listed}})


def test_fuels_are_read_with_times_of_twelve_hours() -> None:
    stamps = {"2026-07-27 12:00:00 AM": (5, 0), "2026-07-27 8:10:00 AM": (13, 10), "2026-07-27 12:05:00 PM": (17, 5)}
    of = dataset("miso_genmix")
    frame = read(mix(*((stamp, "Battery Storage", "-39") for stamp in stamps)), "m.json", of).frame
    assert [(at.hour, at.minute) for at in frame["interval_start"]] == list(stamps.values())
    assert frame.select("fuel_type", "fuel_native", "generation_mw").unique().rows() == [
        ("STORAGE", "Battery Storage", -39.0)
    ]
    ends = dataset("miso_genmix", labels="end")
    shifted = read(mix(("2026-07-27 8:10:00 AM", "Coal", 1)), "m.json", ends).frame
    assert shifted["interval_end"][0] == datetime(2026, 7, 27, 13, 10, tzinfo=UTC)


def test_no_number_of_a_display_is_no_generation() -> None:
    of = dataset("miso_genmix")
    rows = [("2026-07-27 8:10:00 AM", fuel, mw) for fuel, mw in (("Coal", "None"), ("Wind", "NaN"), ("Solar", "-1"))]
    verdict = validate(read(mix(*rows), "m.json", of).frame, of.contract, of.checks)
    assert (verdict.accepted["fuel_native"].to_list(), verdict.rows_rejected) == (["Solar"], 2)


def test_a_single_fuel_need_not_be_a_list() -> None:
    text = mix(("2026-07-27 8:10:00 AM", "Coal", "1")).replace("[", "").replace("]", "")
    assert read(text, "m.json", dataset("miso_genmix")).frame["generation_mw"].to_list() == [1.0]


def test_an_unknown_fuel_goes_to_quarantine() -> None:
    rows = [("2026-07-27 8:10:00 AM", fuel, 1) for fuel in ("Coal", "Fusion")]
    result = read(mix(*rows), "m.json", dataset("miso_genmix"))
    assert (len(result.frame), result.unplaced["value"].unique().to_list()) == (1, ["Fusion"])


def outlook(reference: str = "27-Jul-2026 - Interval 08:00 EST", value: str = "13582.00") -> str:
    row = {"DateTimeEST": "2026-07-27 11:00:00 PM", "HourEndingEST": "24", "Value": value}
    return json.dumps({"Forecast": [row], "RefId": reference, "MktDay": "07-27-2026"})


def test_a_forecast_is_of_the_instant_that_its_reference_names() -> None:
    of = dataset("miso_renewable_forecast")
    for number, fuel in enumerate(("wind", "solar")):
        frame = read(outlook(), f"get{fuel}forecast.json", of, number).frame
        assert frame.select("published_at", "interval_start", "fuel_type", "forecast_model", "generation_mw").row(
            0
        ) == (
            datetime(2026, 7, 27, 13, tzinfo=UTC),
            datetime(2026, 7, 28, 4, tzinfo=UTC),
            fuel.upper(),
            f"get{fuel}forecast",
            13582.0,
        )
        with pytest.raises(SourceChanged, match="nothing but the name tells"):
            read(outlook(), f"get{fuel}forecast.json", of, 1 - number)


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ('{"error":"no data"}', NoData, "no data"),
        ("<html>busy</html>", SourceUnavailable, "html page"),
        ("", SourceUnavailable, "empty body"),
        (outlook()[:50], SourceUnavailable, "cut short"),
        (outlook("soon"), SourceChanged, 'RefId holds "soon"'),
        (outlook("31-Feb-2026 - Interval 08:00 EST"), SourceChanged, "RefId holds"),
        (outlook("27-Jul-2026 - Interval 08:00 EDT"), SourceChanged, "RefId holds"),
        (outlook(value="many"), SourceChanged, 'column Value holds "many"'),
        (outlook().replace("Forecast", "Actual"), SourceChanged, "expected Forecast; found Actual"),
        ('{"Forecast":[],"RefId":"27-Jul-2026 - Interval 08:00 EST"}', SourceUnavailable, "no rows"),
        ("[]", SourceChanged, "expected Forecast"),
    ],
)
def test_what_is_no_forecast_is_refused(content: str, kind: type[AurumError], message: str) -> None:
    with pytest.raises(kind, match=f"^here/getwindforecast.json: .*{message}"):
        read(content, "getwindforecast.json", dataset("miso_renewable_forecast"))


def test_the_retired_broker_has_no_fuel_mix_either() -> None:
    """It answers with status 200."""
    with pytest.raises(NoData, match=r"^here/m\.json: no data"):
        read('{"error":"no data"}', "m.json", dataset("miso_genmix"))
    with pytest.raises(SourceUnavailable, match="holds no rows"):
        read(mix(), "m.json", dataset("miso_genmix"))


# Whatever comes

PAYLOADS = [
    ("miso_lmp", "csv", WIDE, wide().encode()),
    ("miso_lmp_rt5", "final", "w.zip", weekly(ABOVE + ROWS + "End\n")),
    ("miso_lmp", "api", "p.json", page(priced(), priced("B"))),
    ("miso_genmix", "display", "m.json", mix(("2026-07-27 8:10:00 AM", "Coal", "1")).encode()),
    ("miso_renewable_forecast", "display", "getwindforecast.json", outlook().encode()),
]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PAYLOADS), EDITS)
def test_whatever_comes_is_read_or_refused_in_typed_words(
    payload: tuple[str, str, str, bytes], edits: list[tuple[str, int, bytes]]
) -> None:
    key, feed, name, content = payload
    try:
        read(edited(content, edits), name, dataset(key, feed))
    except SourceError as error:
        assert str(error).startswith("here/")
