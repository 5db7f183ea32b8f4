"""The bill of materials: valid, complete, the same from the same pins, and of no particular machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from supply import sbom
from supply.licenses import policy_of
from supply.pins import ROOT, read_pins


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    sbom.main(list(options))
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


def test_it_has_what_is_pinned_for_the_engine_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """Written only where it is valid CycloneDX 1.5."""
    bill = json.loads(printed(capsys))
    pins = {(pin.name, pin.version): pin for pin in read_pins().requirements}
    found = {(each["name"], each["version"]): each for each in bill["components"]}
    assert found.keys() == pins.keys()
    assert len(bill["components"]) == len(pins)
    for key, each in found.items():
        hashes = {digest["content"] for file in each["externalReferences"] for digest in file["hashes"]}
        assert hashes
        assert hashes <= pins[key].hashes
        assert each["purl"] == each["bom-ref"] == "pkg:pypi/{}@{}".format(*key)
        assert each["licenses"][0]["expression"]


def test_its_graph_begins_at_the_package_and_reaches_everything(capsys: pytest.CaptureFixture[str]) -> None:
    bill = json.loads(printed(capsys))
    root = bill["metadata"]["component"]
    assert (root["name"], root["licenses"]) == ("aurum-etl", [{"expression": "Apache-2.0"}])
    needs = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    reached, waiting = set[str](), [root["bom-ref"]]
    while waiting:
        if (ref := waiting.pop()) not in reached:
            reached.add(ref)
            waiting += needs[ref]
    assert reached == {root["bom-ref"], *(each["bom-ref"] for each in bill["components"])}


def test_it_tells_neither_a_registry_nor_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    assert "://" not in text
    assert str(Path.home()) not in text
    assert str(ROOT) not in text


def test_the_same_pins_give_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == printed(capsys)


def test_it_has_a_time_where_one_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    without = json.loads(printed(capsys))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    told = json.loads(printed(capsys))
    assert told["metadata"].pop("timestamp") == "2026-09-21T14:13:20+00:00"
    assert told == without


def test_an_extra_comes_with_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    without, with_it = json.loads(printed(capsys)), json.loads(printed(capsys, "--extra", "postgres-catalog"))
    names = {each["name"] for each in with_it["components"]} - {each["name"] for each in without["components"]}
    assert names == {"psycopg", "psycopg-binary"}
    assert with_it["serialNumber"] != without["serialNumber"]


def test_what_is_no_bill_of_materials_is_not_written() -> None:
    bill = sbom.bill(sbom.exported(ROOT), policy_of(ROOT / "pyproject.toml"))
    bill["components"][0]["type"] = "gold"
    with pytest.raises(ValueError, match=r"not as CycloneDX 1\.5 has it: 'gold' is not one of"):
        sbom.text_of(bill)
