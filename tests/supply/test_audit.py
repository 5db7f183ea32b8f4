"""What is known of the pins fails, what is not known is told, and neither passes for the other."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.message import Message
from typing import TYPE_CHECKING, cast

import pytest
from supply import audit
from supply.advisories import Advisory, Asked, Ignored, advisories_by_uv, ignored_of, judged
from supply.licenses import Policy, expression_of, objections, policy_of
from supply.pins import ROOT, Pin, read_pins
from supply.registry import advisories_of, registry_of, standing_of

from tests.adapters.loopback import server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.metadata import PackageMetadata
    from pathlib import Path

    from tests.adapters.loopback import Heard, Said

TODAY = date(2026, 11, 26)
CLICK = Pin("click", "8.5.1", "", frozenset({"a" * 64, "b" * 64}))
RICH = Pin("rich", "15.0.0", "", frozenset({"c" * 64}))
SAID = {
    "aliases": ["CVE-2026-0001", "GHSA-aaaa-bbbb-cccc"],
    "details": "Long words.\nAnd more of them.",
    "fixed_in": ["8.5.2"],
    "id": "PYSEC-2026-1",
    "link": "https://advisories.invalid/PYSEC-2026-1",
    "source": "osv",
    "summary": "A prompt can be made to run a command",
    "withdrawn": None,
}
FOUND = Advisory(
    "click",
    "8.5.1",
    "PYSEC-2026-1",
    frozenset({"CVE-2026-0001", "GHSA-aaaa-bbbb-cccc"}),
    "A prompt can be made to run a command",
    ("8.5.2",),
)


def document(version: str, *vulnerabilities: object) -> dict[str, object]:
    """What the JSON API has of a package, cut to what is read."""
    return {"info": {"version": version}, "last_serial": 1, "urls": [], "vulnerabilities": list(vulnerabilities)}


def serving(pages: Mapping[str, Said | object]) -> Callable[[Heard], Said]:
    """A registry of these documents."""

    def say(heard: Heard) -> Said:
        page = pages.get(heard.path, (404, ""))
        return cast("Said", page if isinstance(page, tuple) else (200, page))

    return say


def path_of(heard: Heard) -> str:
    return heard.path


def test_a_known_vulnerability_is_found_under_its_version() -> None:
    with server(serving({"/pypi/click/8.5.1/json": document("8.5.1", SAID)}), path_of) as (base, asked):
        answer = advisories_of([CLICK], f"{base}/simple")
    assert (answer.pins, answer.advisories, answer.unasked) == ({CLICK}, [FOUND], {})
    assert asked == ["/pypi/click/8.5.1/json"]


@pytest.mark.parametrize("listed", [(), ({**SAID, "withdrawn": "2026-02-01T00:00:00Z"},)])
def test_a_clean_version_counts_as_told_of(listed: tuple[object, ...]) -> None:
    with server(serving({"/pypi/click/8.5.1/json": document("8.5.1", *listed)}), path_of) as (base, _):
        answer = advisories_of([CLICK], f"{base}/simple")
    assert (answer.pins, answer.advisories, answer.unasked) == ({CLICK}, [], {})


def test_the_document_of_the_newest_version_answers_for_that_version() -> None:
    """Some registries have no other."""
    pages = {"/pypi/click/json": document("8.5.1", SAID), "/pypi/rich/json": document("15.0.1")}
    with server(serving(pages), path_of) as (base, _):
        answer = advisories_of([CLICK, RICH], f"{base}/simple")
    assert (answer.pins, answer.advisories) == ({CLICK}, [FOUND])
    assert answer.unasked == {RICH: "tells of the newest version alone"}


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ((404, ""), "has no JSON API, or does not know the package"),
        ((503, "busy"), "answers with status 503"),
        ((200, "<html>Welcome</html>"), "answers with no JSON"),
        ((200, b"\xff\xfe"), "answers with no JSON"),
        ((200, "[]"), "answers with something else than a document"),
        ({"info": {"version": "8.5.1"}}, "does not tell of vulnerabilities"),
        (document("8.5.1", {"name": "PYSEC-2026-1"}), "in a form that is not known"),
        (document("8.5.1", "PYSEC-2026-1"), "in a form that is not known"),
    ],
)
def test_an_answer_to_something_else_is_no_good_news(page: Said | object, reason: str) -> None:
    with server(serving({"/pypi/click/8.5.1/json": page}), path_of) as (base, _):
        answer = advisories_of([CLICK], f"{base}/simple")
    assert (answer.pins, answer.advisories) == (set(), [])
    assert reason in answer.unasked[CLICK]
    assert judged([CLICK], [answer], [], TODAY).unasked == [CLICK]


def test_a_registry_that_cannot_be_reached_is_left_alone() -> None:
    with server(serving({}), path_of) as (base, _):
        pass
    pins = [replace(CLICK, version=f"8.5.{minor}") for minor in range(300)]
    answer = advisories_of(pins, f"{base}/simple")
    assert (answer.pins, len(answer.unasked)) == (set(), 300)
    assert all(reason.startswith("cannot be reached") for reason in answer.unasked.values())


LOCK = """
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "click"
version = "8.5.1"
source = {{ registry = "{base}/simple" }}
wheels = [
    {{ url = "{base}/click-8.5.1-py3-none-any.whl", hash = "sha256:{a}" }},
]

[[package]]
name = "rich"
version = "15.0.0"
source = {{ registry = "{base}/simple" }}
wheels = [
    {{ url = "{base}/rich-15.0.0-py3-none-any.whl", hash = "sha256:{c}" }},
]

[[package]]
name = "project"
version = "0"
source = {{ virtual = "." }}
dependencies = [
    {{ name = "click" }},
    {{ name = "rich" }},
]
"""


def project(folder: Path, base: str) -> Path:
    """A project that needs both."""
    (folder / "uv.lock").write_text(LOCK.format(base=base, a="a" * 64, c="c" * 64))
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "project"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["click", "rich"]\n'
        '[build-system]\nrequires = ["click"]\n'
        '[tool.uv]\nconstraint-dependencies = ["click==8.5.1", "rich==15.0.0"]\n'
        'build-constraint-dependencies = ["click==8.5.1"]\n'
        '[tool.supply]\nlicenses = ["BSD-3-Clause", "MIT"]\nby_name = {}\nstated = {}\n'
    )
    (folder / ".ci").mkdir()
    for name in (".ci/constraints.txt", "requirements.txt", ".ci/uv.txt"):
        lines = [f"{pin} " + " ".join(f"--hash=sha256:{each}" for each in sorted(pin.hashes)) for pin in (CLICK, RICH)]
        (folder / name).write_text("\n".join(lines))
    return folder


OSV = {
    "id": "PYSEC-2026-1",
    "modified": "2026-01-02T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "summary": "A prompt can be made to run a command",
    "aliases": ["CVE-2026-0001"],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "click"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "8.5.2"}]}],
        }
    ],
}


def osv(heard: Heard) -> Said:
    """A service that knows one bad version, as OSV has it."""
    if heard.path == "/v1/querybatch":
        known = [each["package"]["name"] == "click" for each in json.loads(heard.body)["queries"]]
        return 200, {
            "results": [{"vulns": [{"id": OSV["id"], "modified": OSV["modified"]}]} if bad else {} for bad in known]
        }
    return (200, OSV) if heard.path == f"/v1/vulns/{OSV['id']}" else (404, "")


def test_osv_is_asked_of_all_that_is_locked(tmp_path: Path) -> None:
    with server(osv, path_of) as (base, asked):
        answer = advisories_by_uv([CLICK, RICH], project(tmp_path, base), "--service-url", f"{base}/")
    assert answer.pins == {CLICK, RICH}
    (found,) = answer.advisories
    assert found == replace(FOUND, aliases=frozenset({"CVE-2026-0001"}))
    assert "/v1/querybatch" in asked


@pytest.mark.parametrize(
    ("say", "pins", "reason"),
    [
        (serving({}), [CLICK, RICH], "cannot be asked: .*404"),
        (lambda _: (200, "<html>Welcome</html>"), [CLICK, RICH], "cannot be asked: "),
        (osv, [CLICK], "was asked of 2 packages, of which 1 are pinned"),
    ],
)
def test_osv_that_does_not_answer_is_no_good_news(
    say: Callable[[Heard], Said], pins: list[Pin], reason: str, tmp_path: Path
) -> None:
    with server(say, path_of) as (base, _):
        answer = advisories_by_uv(pins, project(tmp_path, base), "--service-url", f"{base}/")
    assert (answer.pins, answer.advisories, set(answer.unasked)) == (set(), [], set(pins))
    assert re.search(reason, answer.unasked[CLICK]), answer.unasked[CLICK]


def asked(service: str, *found: Advisory, pins: tuple[Pin, ...] = (CLICK, RICH)) -> Asked:
    return Asked(service, set(pins), list(found))


def test_a_vulnerability_under_two_names_is_told_once() -> None:
    elsewhere = replace(FOUND, id="GHSA-aaaa-bbbb-cccc", aliases=frozenset({"CVE-2026-0001"}))
    judgment = judged([CLICK, RICH], [asked("OSV", elsewhere), asked("registry", FOUND)], [], TODAY)
    (line,) = judgment.wrong
    assert "click==8.5.1: CVE-2026-0001, GHSA-aaaa-bbbb-cccc: A prompt" in line
    assert line.endswith("(fixed in 8.5.2)")


LIVED_WITH = Ignored("click", "CVE-2026-0001", "no prompt is ever shown", TODAY)


@pytest.mark.parametrize(
    ("ignored", "today", "wrong", "told"),
    [
        (LIVED_WITH, TODAY, [], ["ignored until 2026-11-26: no prompt is ever shown"]),
        (LIVED_WITH, TODAY + timedelta(1), ["was to be ignored until 2026-11-26: no prompt is ever shown"], []),
        (
            replace(LIVED_WITH, package="rich"),
            TODAY,
            ["PYSEC-2026-1", "CVE-2026-0001 of rich is ignored, and is no"],
            [],
        ),
        (
            replace(LIVED_WITH, id="CVE-2026-9"),
            TODAY,
            ["PYSEC-2026-1", "CVE-2026-9 of click is ignored, and is no"],
            [],
        ),
    ],
)
def test_what_is_lived_with_has_an_end_and_a_cause(
    ignored: Ignored, today: date, wrong: list[str], told: list[str]
) -> None:
    judgment = judged([CLICK, RICH], [asked("OSV", FOUND)], [ignored], today)
    for found, expected in ((judgment.wrong, wrong), (judgment.told, told)):
        assert len(found) == len(expected)
        assert all(part in line for part, line in zip(expected, found, strict=True)), found


def test_an_entry_stays_where_nobody_could_be_asked() -> None:
    judgment = judged([CLICK, RICH], [asked("OSV", pins=(RICH,))], [LIVED_WITH], TODAY)
    assert (judgment.wrong, judgment.unasked) == ([], [CLICK])
    assert judgment.told == ["CVE-2026-0001 of click is ignored; nobody could be asked whether it still is one"]


ENTRY = '[[tool.supply.ignored]]\npackage = "click"\nid = "CVE-2026-0001"\n'


@pytest.mark.parametrize(
    "rest", ["", 'reason = " "\nuntil = 2026-11-26', 'reason = "some"', 'reason = "some"\nuntil = "soon"']
)
def test_an_entry_without_reason_or_end_is_refused(rest: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(ENTRY + rest)
    with pytest.raises(ValueError, match=r"tool\.supply\.ignored: .*CVE-2026-0001"):
        ignored_of(tmp_path / "pyproject.toml")
    (tmp_path / "pyproject.toml").write_text(f'{ENTRY}reason = "{LIVED_WITH.reason}"\nuntil = 2026-11-26')
    assert ignored_of(tmp_path / "pyproject.toml") == [LIVED_WITH]


def file(digest: str, uploaded: str = "2026-11-06T17:37:01Z", *, yanked: object = False) -> dict[str, object]:
    """A file as the simple API has it."""
    return {"filename": f"{digest}.whl", "hashes": {"sha256": digest * 64}, "upload-time": uploaded, "yanked": yanked}


@pytest.mark.parametrize(
    ("files", "more", "wrong", "told"),
    [
        ([file("a"), file("b"), file("d", yanked="broken")], {}, [], []),
        ([file("a")], {}, [], ["click==8.5.1: 1 of its 2 files are gone"]),
        ([file("d")], {}, ["click==8.5.1: the registry has no file of it any more"], []),
        ([file("a"), file("b", yanked="stolen key")], {}, ["click==8.5.1: yanked: stolen key"], []),
        ([file("a"), file("b", yanked=True)], {}, ["click==8.5.1: yanked: no reason given"], []),
        ([file("a"), file("b")], {"status": "quarantined"}, ["the project is quarantined: no reason given"], []),
        ([file("a"), file("b")], {"status": "archived", "reason": "done"}, [], ["the project is archived: done"]),
        ([file("a"), file("b")], {"status": "active"}, [], []),
    ],
)
def test_how_a_pin_stands_in_the_registry(
    files: list[object], more: dict[str, str], wrong: list[str], told: list[str]
) -> None:
    page = {"meta": {"api-version": "1.4"}, "name": "click", "files": files, "project-status": more}
    with server(serving({"/simple/click/": page}), lambda heard: heard.headers["Accept"]) as (base, accepted):
        standing = standing_of([CLICK], f"{base}/simple")
    assert accepted == ["application/vnd.pypi.simple.v1+json"]
    for found, expected in ((standing.wrong, wrong), (standing.told, told)):
        assert len(found) == len(expected)
        assert all(part in line for part, line in zip(expected, found, strict=True)), found


def test_the_age_of_a_pin_is_that_of_its_first_file() -> None:
    page = {"files": [file("a"), file("b", "2026-11-05T00:00:00.123456Z")]}
    with server(serving({"/simple/click/": page}), path_of) as (base, _):
        standing = standing_of([CLICK], f"{base}/simple")
    assert standing.published == {CLICK: datetime(2026, 11, 5, 0, 0, 0, 123456, tzinfo=UTC)}


@pytest.mark.parametrize("page", [(200, "<!DOCTYPE html>"), (500, ""), {"name": "click"}])
def test_a_registry_that_does_not_list_files_is_told(page: Said | object) -> None:
    with server(serving({"/simple/click/": page}), path_of) as (base, _):
        standing = standing_of([CLICK], f"{base}/simple")
    assert (standing.wrong, set(standing.unasked)) == ([], {CLICK})


def told_by(**fields: str) -> PackageMetadata:
    message = Message()
    for name, value in fields.items():
        for each in value.split("|"):
            message[name.replace("_", "-")] = each
    return cast("PackageMetadata", message)


@pytest.mark.parametrize(
    ("metadata", "expression"),
    [
        (
            told_by(License_Expression="MIT OR Apache-2.0", Classifier="License :: OSI Approved :: BSD License"),
            "MIT OR Apache-2.0",
        ),
        (told_by(License="MPL-2.0 AND MIT"), "MPL-2.0 AND MIT"),
        (told_by(License="Apache v2", Classifier="License :: OSI Approved :: Apache Software License"), "Apache-2.0"),
        (told_by(License="MIT\nand a page of it", Classifier="License :: OSI Approved :: MIT License"), "MIT"),
        (told_by(Classifier="License :: OSI Approved|License :: OSI Approved :: MIT License"), "MIT"),
        (
            told_by(
                Classifier="License :: OSI Approved :: MIT License|License :: OSI Approved :: Apache Software License"
            ),
            "Apache-2.0 AND MIT",
        ),
        (told_by(Classifier="License :: OSI Approved :: MIT License|License :: OSI Approved :: BSD License"), None),
        (told_by(License="BSD"), None),
        (told_by(Classifier="License :: OSI Approved"), None),
        (told_by(Name="click"), None),
    ],
)
def test_a_license_is_told_in_the_words_of_spdx_or_not_at_all(
    metadata: PackageMetadata, expression: str | None
) -> None:
    assert expression_of(metadata) == expression


@pytest.mark.parametrize(
    ("stated", "by_name", "said"),
    [
        ("MIT OR LGPL-3.0-only", {}, []),
        ("MIT AND Apache-2.0", {}, []),
        ("MIT AND LGPL-3.0-only", {}, ["MIT AND LGPL-3.0-only is not one of Apache-2.0, MIT, nor allowed by name"]),
        ("LGPL-3.0-only", {"click": "LGPL-3.0-only"}, []),
        (
            "GPL-3.0-only",
            {"click": "LGPL-3.0-only"},
            ["GPL-3.0-only is not one of", "by_name: click needs no permission"],
        ),
        ("MIT", {"click": "LGPL-3.0-only"}, ["by_name: click needs no permission"]),
    ],
)
def test_what_is_not_allowed_is_named(stated: str, by_name: dict[str, str], said: list[str]) -> None:
    found = objections([CLICK], Policy(frozenset({"MIT", "Apache-2.0"}), by_name, {"click": stated}))
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True)), found


def test_a_license_nobody_tells_and_a_statement_of_nothing_are_objected_to() -> None:
    found = objections([Pin("no-such-package", "1")], Policy(frozenset({"MIT"}), {}, {"click": "MIT"}))
    assert found == [
        "no-such-package==1: its license is not told in SPDX's words; look, and put it under tool.supply.stated",
        "tool.supply.stated: click is not pinned",
    ]


def test_what_the_engine_needs_is_under_licenses_that_are_allowed() -> None:
    policy = policy_of(ROOT / "pyproject.toml")
    said = objections(read_pins().requirements, policy)
    # What is said of packages that others than the engine need is no matter here.
    assert [each for each in said if not each.startswith("tool.supply.")] == []


def test_the_registry_is_where_uv_has_it_from(tmp_path: Path) -> None:
    assert registry_of(project(tmp_path, "https://mirror.invalid") / "uv.lock") == "https://mirror.invalid/simple"


def both(vulnerability: object) -> Callable[[Heard], Said]:
    """Both services at one address: a registry of clean files, and an OSV that knows nothing."""
    clean = {"files": [file("a"), file("b"), file("c")]}
    return serving(
        {
            "/simple/click/": clean,
            "/simple/rich/": clean,
            "/pypi/click/8.5.1/json": vulnerability,
            "/pypi/rich/15.0.0/json": (503, ""),
        }
    )


@pytest.mark.parametrize(
    ("page", "code", "out", "err"),
    [
        (document("8.5.1"), 0, "0 in the 1 versions that were told of", ""),
        (document("8.5.1", SAID), 1, "1 in the 1 versions that were told of", "WRONG: click==8.5.1: CVE-2026-0001"),
    ],
)
def test_the_audit_fails_of_what_it_found_and_tells_whom_it_could_not_ask(
    page: object,
    code: int,
    out: str,
    err: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")  # OSV, which is elsewhere
    with server(both(page), path_of) as (base, _):
        assert audit.main(project(tmp_path, base)) == code
    told = capsys.readouterr()
    assert out in told.out
    assert "WARNING: vulnerabilities, OSV: cannot be asked" in told.out
    assert "WARNING: vulnerabilities, registry: answers with status 503 (1: rich)" in told.out
    assert "WARNING: NOT AUDITED, since no service told of them: rich==15.0.0" in told.out
    assert err in told.err
    assert bool(told.err) == bool(code)
