"""The simulated documents of ERCOT: in the archive and at MIS."""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator
from tests.simulator import AT_ONCE
from tests.simulator.test_ercot import (
    AUTUMN,
    DAM,
    NOW,
    PLAIN,
    RT,
    SCED,
    authorized,
    day,
    get,
    rows,
    stamps,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def ercot() -> Iterator[Simulator]:
    with Simulator(nodes=90, now=lambda: NOW) as simulator:
        yield simulator


def posted(first: str, last: str) -> dict[str, str]:
    return {"postDatetimeFrom": f"{first}T00:00:00", "postDatetimeTo": f"{last}T00:00:00"}


def archived(simulator: Simulator, emil: str, first: str, last: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(simulator, f"archive/{emil}", posted(first, last)).json()["archives"]
    return found


def opened(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def document(simulator: Simulator, emil: str, identity: int) -> tuple[str, str]:
    """Name and text of the only member."""
    response = get(simulator, f"archive/{emil}", {"download": str(identity)})
    assert response.headers["content-type"] == "application/zip"
    ((name, content),) = opened(response.content).items()
    return name, content.decode()


def table(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text)))


def bulk(simulator: Simulator, emil: str, identities: list[int]) -> httpx.Response:
    address = f"{simulator.bases['ERCOT']}/archive/{emil}/download"
    return httpx.post(address, json={"docIds": identities}, headers=authorized(simulator), timeout=60)


def listed(simulator: Simulator, report_type: int) -> list[dict[str, str]]:
    address = f"{simulator.bases['ERCOT_MIS']}/misapp/servlets/IceDocListJsonWS"
    found = httpx.get(address, params={"reportTypeId": report_type, "_": "1"}).json()
    assert list(found) == ["ListDocsByRptTypeRes"]
    return [each["Document"] for each in found["ListDocsByRptTypeRes"]["DocumentList"]]


def downloaded(simulator: Simulator, identity: str) -> dict[str, bytes]:
    address = f"{simulator.bases['ERCOT_MIS']}/misdownload/servlets/mirDownload"
    return opened(httpx.get(address, params={"doclookupId": identity}).content)


def test_the_archive_list_is_as_recorded(ercot: Simulator) -> None:
    found = get(ercot, "archive/NP4-190-CD", posted("2026-03-06", "2026-03-09"), {"size": "1000", "page": "1"}).json()
    assert list(found) == ["_meta", "product", "archives", "_links"]
    # The fifth was corrected two days after it.
    assert found["_meta"]["totalRecords"] == 4
    assert found["_meta"]["query"] == {
        "parameterCount": 2,
        "parameters": posted("2026-03-06", "2026-03-09"),
        "sortedBy": "postDatetime: DESC",
    }
    assert found["product"] == {
        "emilId": "NP4-190-CD", "name": "DAM Settlement Point Prices", "reportTypeId": 12331,
    }  # fmt: skip
    first = found["archives"][0]
    assert list(first) == ["docId", "friendlyName", "postDatetime", "_links"]
    assert (first["friendlyName"], first["postDatetime"][:10]) == ("DAMSPNP4190_csv", "2026-03-08")
    assert len(first["postDatetime"]) == len("2024-11-05T03:16:10.000")
    assert first["_links"]["endpoint"]["href"].endswith(f"/archive/np4-190-cd?download={first['docId']}")
    times = [each["postDatetime"] for each in found["archives"]]
    assert times == sorted(times, reverse=True)


def test_pages_of_the_archive_reach_back_ten_years(ercot: Simulator) -> None:
    first = get(ercot, "archive/np6-905-cd").json()
    assert (len(first["archives"]), first["_meta"]["pageSize"]) == (1000, 1000)
    assert first["_meta"]["totalRecords"] > 10 * 365 * 96
    second = get(ercot, "archive/np6-905-cd", {"page": "2"}).json()
    assert second["archives"][0]["docId"] < first["archives"][-1]["docId"]
    old = archived(ercot, "np4-190-cd", "2016-07-01", "2016-07-02")
    assert "06/30/2016" not in document(ercot, "np4-190-cd", old[0]["docId"])[1]
    assert table(document(ercot, "np4-190-cd", old[0]["docId"])[1])[0]["DeliveryDate"] == "07/02/2016"
    assert archived(ercot, "np4-190-cd", "2013-07-01", "2013-07-02") == []
    assert archived(ercot, "np4-190-cd", "2026-07-15", "2026-07-16") == []


@pytest.mark.parametrize(
    ("emil", "header", "count"),
    [
        ("np4-188-cd", "DeliveryDate,HourEnding,AncillaryType,MCPC,DSTFlag", 125),
        ("np4-190-cd", "DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag", 90 * 25),
        ("np6-905-cd", ("DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,"
         "SettlementPointPrice,DSTFlag"), 103),
        ("np6-788-cd", "SCEDTimestamp,RepeatedHourFlag,SettlementPoint,LMP", 90),
        ("np6-345-cd", "OperDay,HourEnding,COAST,EAST,FAR_WEST,NORTH,NORTH_C,SOUTHERN,SOUTH_C,WEST,TOTAL,DSTFlag", 24),
        ("np6-346-cd", "OperDay,HourEnding,NORTH,SOUTH,WEST,HOUSTON,TOTAL,DSTFlag", 24),
        ("np3-560-cd", "DeliveryDate,HourEnding,North,South,West,Houston,SystemTotal,DSTFlag    ", 193),
        ("np3-561-cd", ("DeliveryDate,HourEnding,Coast,East,FarWest,North,NorthCentral,SouthCentral,Southern,West,"
         "SystemTotal,DSTFlag"), 193),
        ("np3-565-cd", ("DeliveryDate,HourEnding,Coast,East,FarWest,North,NorthCentral,SouthCentral,Southern,West,"
         "SystemTotal,Model,InUseFlag,DSTFlag"), 193 * 8),
        ("np4-732-cd", ("DELIVERY_DATE,HOUR_ENDING,SYSTEM_WIDE_GEN,COP_HSL_SYSTEM_WIDE,STWPF_SYSTEM_WIDE,"
         "WGRPP_SYSTEM_WIDE,GEN_LZ_SOUTH_HOUSTON,COP_HSL_LZ_SOUTH_HOUSTON,STWPF_LZ_SOUTH_HOUSTON,"
         "WGRPP_LZ_SOUTH_HOUSTON,GEN_LZ_WEST,COP_HSL_LZ_WEST,STWPF_LZ_WEST,WGRPP_LZ_WEST,GEN_LZ_NORTH,"
         "COP_HSL_LZ_NORTH,STWPF_LZ_NORTH,WGRPP_LZ_NORTH,SYSTEM_WIDE_HSL,DSTFlag"), 216),
        ("np4-737-cd", ("DELIVERY_DATE,HOUR_ENDING,SYSTEM_WIDE_GEN,COP_HSL_SYSTEM_WIDE,STPPF_SYSTEM_WIDE,"
         "PVGRPP_SYSTEM_WIDE,SYSTEM_WIDE_HSL,DSTFlag"), 216),
    ],
)  # fmt: skip
def test_documents_have_the_columns_of_their_product(ercot: Simulator, emil: str, header: str, count: int) -> None:
    newest = archived(ercot, emil, "2025-11-01", "2025-11-02")[0]
    name, text = document(ercot, emil, newest["docId"])
    lines = text.split("\n")
    assert lines[0] == header
    assert (len(lines), lines[-1], "\r" in text) == (count + 2, "", False)
    stamp = newest["postDatetime"][:19].replace("-", "").replace(":", "").replace("T", ".")
    assert name.endswith(f".{'0' * 16}.{stamp}.{newest['friendlyName'].removesuffix('_csv')}.csv")
    assert name.startswith("cdr.000")


def test_hours_are_written_as_each_product_does(ercot: Simulator) -> None:
    def first_of(emil: str) -> list[str]:
        text = document(ercot, emil, archived(ercot, emil, "2026-07-08", "2026-07-09")[-1]["docId"])[1]
        return text.split("\n")[1].split(",")

    assert first_of("np4-190-cd")[:2] == ["07/09/2026", "01:00"]
    assert first_of("np3-560-cd")[:2] == ["07/08/2026", "1:00"]
    assert first_of("np3-561-cd")[:2] == ["07/08/2026", "1:00"]
    assert first_of("np6-345-cd")[:2] == ["07/07/2026", "01:00"]
    assert first_of("np4-732-cd")[:2] == ["07/06/2026", "01"]
    quarter = first_of("np6-905-cd")
    assert quarter[:3] == ["07/07/2026", "24", "4"]
    assert quarter[5].startswith(" ")
    assert datetime.strptime(first_of("np6-788-cd")[0], "%m/%d/%Y %H:%M:%S").date().isoformat() == PLAIN  # noqa: DTZ007
    assert [len(each.partition(".")[2]) for each in first_of("np6-345-cd")[2:-1]] == [2] * 9


def test_documents_and_rows_have_the_same_values(ercot: Simulator) -> None:
    newest = archived(ercot, "np4-190-cd", "2025-11-01", "2025-11-02")[0]
    of_document = Counter(
        (each["HourEnding"], each["SettlementPoint"], float(each["SettlementPointPrice"]), each["DSTFlag"] == "Y")
        for each in table(document(ercot, "np4-190-cd", newest["docId"])[1])
    )
    assert of_document == Counter(
        (each["hourEnding"], each["settlementPoint"], each["settlementPointPrice"], each["DSTFlag"])
        for each in rows(ercot, DAM, day(AUTUMN))
    )
    runs = archived(ercot, "np6-788-cd", AUTUMN, "2025-11-03")
    both = [document(ercot, "np6-788-cd", each["docId"])[1] for each in (runs[5], runs[-5])]
    found = {
        (each["SCEDTimestamp"], each["settlementPoint"]): each["LMP"] for each in rows(ercot, SCED, stamps(AUTUMN))
    }
    for each in (row for text in both for row in table(text)):
        when = datetime.strptime(each["SCEDTimestamp"], "%m/%d/%Y %H:%M:%S").isoformat()  # noqa: DTZ007
        assert found[when, each["SettlementPoint"]] == float(each["LMP"])


def test_a_bulk_download_is_a_zip_of_zips_in_another_order(ercot: Simulator) -> None:
    wanted = [each["docId"] for each in archived(ercot, "np6-905-cd", AUTUMN, "2025-11-03")]
    assert len(wanted) in (101, 102)
    outer = opened(bulk(ercot, "np6-905-cd", wanted).content)
    identities = [int(name.partition(".")[0]) for name in outer]
    assert sorted(identities) == sorted(wanted)
    assert identities != wanted
    assert all(name.endswith("_csv.zip") and name.split(".")[1:3] == ["cdr", "00012301"] for name in outer)
    for identity, content in list(zip(identities, outer.values(), strict=True))[:7]:
        ((name, text),) = opened(content).items()
        assert (name, text.decode()) == document(ercot, "np6-905-cd", identity)


def test_a_bulk_download_has_a_limit_and_no_strangers(ercot: Simulator) -> None:
    known = archived(ercot, "np4-190-cd", "2026-07-08", "2026-07-09")[0]["docId"]
    assert bulk(ercot, "np4-190-cd", [known]).status_code == 200
    assert bulk(ercot, "np4-190-cd", [known] * 501).status_code == 400
    assert bulk(ercot, "np4-190-cd", []).status_code == 400
    assert bulk(ercot, "np4-190-cd", [known, known + 1]).status_code == 404
    assert bulk(ercot, "np4-188-cd", [known]).status_code == 404
    for identity in ("7", "words", str(10**30), str(known + 64)):
        assert get(ercot, "archive/np4-190-cd", {"download": identity}).status_code == 404


@pytest.mark.parametrize("query", [{"size": "1001"}, {"page": "0"}, {"postDatetimeFrom": "soon"}, {"nope": "1"}])
def test_bad_questions_to_the_archive_are_refused(ercot: Simulator, query: dict[str, str]) -> None:
    response = get(ercot, "archive/np4-190-cd", query)
    assert (response.status_code, response.json()["code"]) == (400, 400)


def test_a_correction_is_a_later_document_and_what_rows_say(ercot: Simulator) -> None:
    retries = [each for each in archived(ercot, "np6-905-cd", PLAIN, "2026-07-09") if "_retry_" in each["friendlyName"]]
    assert len(retries) == 1
    name = retries[0]["friendlyName"].replace("_retry", "")
    (before,) = [each for each in archived(ercot, "np6-905-cd", PLAIN, "2026-07-09") if each["friendlyName"] == name]
    first, second = (table(document(ercot, "np6-905-cd", each["docId"])[1]) for each in (before, retries[0]))
    changed = [both for both in zip(first, second, strict=True) if both[0] != both[1]]
    assert 0 < len(changed) < len(first)
    assert all({**old, "SettlementPointPrice": ""} == {**new, "SettlementPointPrice": ""} for old, new in changed)
    hour, quarter = second[0]["DeliveryHour"], second[0]["DeliveryInterval"]
    window = {
        "deliveryHourFrom": hour,
        "deliveryHourTo": hour,
        "deliveryIntervalFrom": quarter,
        "deliveryIntervalTo": quarter,
    }
    found = rows(ercot, RT, day(PLAIN), window)
    assert [each["settlementPointPrice"] for each in found] == [float(each["SettlementPointPrice"]) for each in second]


def test_a_corrected_day_was_different_before() -> None:
    clock = [NOW]
    found = []
    with Simulator(nodes=90, now=lambda: clock[0]) as simulator:
        for text in ("2026-03-06", "2026-03-08"):
            clock[0] = datetime.fromisoformat(f"{text}T18:00:00+00:00")
            found.append(rows(simulator, DAM, day("2026-03-05")))
    changed = [before["hourEnding"] for before, after in zip(*found, strict=True) if before != after]
    assert 0 < len(changed) < len(found[0]) / 5


def test_mis_lists_twins_newest_first(ercot: Simulator) -> None:
    found = listed(ercot, 12311)
    assert list(found[0]) == [
        "ExpiredDate", "ILMStatus", "SecurityStatus", "ContentSize", "Extension", "ReportTypeID", "Prefix",
        "FriendlyName", "ConstructedName", "DocID", "PublishDate", "ReportName", "DUNS", "DocCount",
    ]  # fmt: skip
    assert {type(value) for each in found for value in each.values()} == {str}
    # Seven days and what came today, from half past midnight on.
    assert len(found) == 2 * (7 * 24 + 12)
    assert [each["FriendlyName"] for each in found[:2]] == ["LFCCONGESTNP3560_csv", "LFCCONGESTNP3560_xml"]
    assert found[0]["PublishDate"] == "2026-07-14T11:30:00-05:00"
    assert found[0]["ExpiredDate"] == "2026-07-21T23:59:59-05:00"
    assert found[0]["ConstructedName"].startswith(f"cdr.00012311.{'0' * 16}.20260714.113000")
    assert found[-1]["PublishDate"] == "2026-07-07T00:30:00-05:00"
    text = next(iter(downloaded(ercot, found[0]["DocID"]).values())).decode()
    assert text == document(ercot, "np3-560-cd", int(found[0]["DocID"]))[1]
    (name, xml), = downloaded(ercot, found[1]["DocID"]).items()  # fmt: skip
    assert name.endswith(".LFCCONGESTNP3560.xml")
    assert xml.startswith(b"<?xml")
    assert len(listed(ercot, 12331)) == 2 * 32
    assert listed(ercot, 99999) == []


def test_publish_dates_before_a_change_have_the_offset_behind_it() -> None:
    with Simulator(nodes=20, now=lambda: datetime(2025, 3, 13, 18, tzinfo=UTC)) as simulator:
        found = listed(simulator, 12311)
    assert len(found) == 360
    dates = {each["PublishDate"] for each in found}
    assert {"2025-03-06T00:30:00-05:00", "2025-03-09T00:30:00-05:00"} <= dates
    assert not any(each.startswith("2025-03-09T02") for each in dates)


def test_names_in_the_repeated_hour_say_so(ercot: Simulator) -> None:
    names = [each["friendlyName"] for each in archived(ercot, "np6-905-cd", AUTUMN, "2025-11-03")]
    assert {"SPPHLZNP6905_20251102_0130_csv", "SPPHLZNP6905_20251102_0130xhr_csv"} <= set(names)
    assert sum("xhr" in each for each in names) == 4
    assert len(set(names)) == len(names)
    hourly = archived(ercot, "np3-560-cd", AUTUMN, "2025-11-03")
    assert [each["postDatetime"][11:13] for each in hourly if "xhr" in each["friendlyName"]] == ["01"]
    assert len(hourly) == 25


def test_products_say_where_their_rows_and_documents_are(ercot: Simulator) -> None:
    products = get(ercot, "").json()["_embedded"]["products"]
    assert len(products) == 14
    for each in products:
        assert get(ercot, each["emilId"]).json() == each
        assert bool(each["artifacts"]) == (each["contentType"] == "DATA")
        addresses = [each["_links"]["archive"]["href"]]
        addresses += [artifact["_links"]["endpoint"]["href"] for artifact in each["artifacts"]]
        assert [httpx.get(address, headers=authorized(ercot)).status_code for address in addresses] == [200] * len(
            addresses
        )


@pytest.mark.parametrize("kind", [*(each for each in AT_ONCE if each != "slow"), "error:404"])
@pytest.mark.parametrize("host", ["archive", "bulk", "dashboard", "MIS"])
def test_every_fault_makes_a_difference_once(ercot: Simulator, kind: str, host: str) -> None:
    identity = archived(ercot, "np6-345-cd", PLAIN, "2026-07-09")[0]["docId"]
    headers = authorized(ercot)

    def ask() -> tuple[int, list[bytes]] | str:
        try:
            if host == "bulk":
                address = f"{ercot.bases['ERCOT']}/archive/np6-345-cd/download"
                response = httpx.post(address, json={"docIds": [identity]}, headers=headers)
            else:
                address, query = {
                    "archive": (f"{ercot.bases['ERCOT']}/archive/np6-345-cd", {"download": str(identity)}),
                    "dashboard": (f"{ercot.bases['ERCOT_DASHBOARDS']}/fuel-mix.json", {}),
                    "MIS": (
                        f"{ercot.bases['ERCOT_MIS']}/misdownload/servlets/mirDownload",
                        {"doclookupId": str(identity)},
                    ),
                }[host]
                response = httpx.get(address, params=query, headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__
        try:
            return response.status_code, list(opened(response.content).values())
        except (zipfile.BadZipFile, zlib.error):
            return response.status_code, [response.content]

    good = ask()
    ercot.inject(Fault(kind))
    assert ask() != good
    assert ask() == good


def test_a_dashboard_that_is_cut_is_no_json(ercot: Simulator) -> None:
    ercot.inject(Fault("cut_zip"))
    with pytest.raises(json.JSONDecodeError):
        httpx.get(f"{ercot.bases['ERCOT_DASHBOARDS']}/fuel-mix.json").json()
