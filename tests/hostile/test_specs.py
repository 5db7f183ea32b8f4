"""Specs, and `--set`, that are no more than text: nothing they say is run, unfolded, read or waited for."""

from __future__ import annotations

import signal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.hostile import JULY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile import Victim

NAMES = "abcdefghijklmn"


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    """What is unfolded is unfolded for hours: a minute is enough to tell."""
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def laughs(begin: str, line: str) -> str:
    """Each line names the one before it nine times."""
    lines = (line.format(name=name, names=", ".join([f"*{last}"] * 9)) for last, name in pairwise(NAMES))
    return begin + "".join(lines)


HOSTILE = {
    "aliases": laughs("a: &a [x]\n", "{name}: &{name} [{names}]\n") + "dataset: *n\n",
    "aliases in a sink": laughs("a: &a [x]\n", "{name}: &{name} [{names}]\n") + "dataset: caiso_lmp\nsinks: [*n]\n",
    "merged": laughs("a: &a {k: 1}\n", "{name}: &{name}\n  <<: [{names}]\n") + "dataset: *n\n",
    "itself": "dataset: caiso_lmp\nsource: &a {nodes: [*a]}\n",
    "code": "dataset: !!python/object/apply:os.system ['touch owned']\n",
    "name": "dataset: !!python/name:os.system x\n",
    "module": "dataset: !!python/module:antigravity x\n",
    "new": "dataset: !!python/object/new:type {args: [z, !!python/tuple [], {}]}\n",
    "deep": "[" * 100_000,
    "deep mapping": "{a: " * 100_000,
    "list as a key": "? [a, b]\n: c\n",
    "mapping as a key": "? {a: b}\n: c\n",
    "null as a key": "? \n: c\n",
    "number": "dataset: " + "9" * 100_000 + "\n",
    "date": "dataset: 2024-13-45\n",
    "no date": "dataset: !!timestamp x\n",
    "sixties": "dataset: " + ":".join(["59"] * 10_000) + "\n",
    "long": "dataset: " + "caiso_lmp" * 100_000 + "\n",
    "path": "dataset: ../../../../etc/passwd\n",
    "format": "dataset: '%s%n{0.__class__}{{x}}$(id)`id`'\n",
    "terminal": 'dataset: "\\e]0;owned\\a\\e[2J"\n',
    "documents": "dataset: caiso_lmp\n---\ndataset: caiso_lmp\n",
    "NUL": "dataset: caiso_lmp\0\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_spec_is_refused_in_a_line(victim: Victim, text: str) -> None:
    victim.spec.write_text(text)
    error = victim.attacked("run", victim.spec, code=3)
    assert error.startswith(f"SpecError: {victim.spec}")
    assert len(error) < 4_000
    assert "\x1b" not in victim.err
    assert not (victim.folder / "owned").exists()


@pytest.mark.parametrize(
    "override",
    [
        "source.nodes=" + "[" * 50_000,
        "source.nodes={? [a]: b}",
        "source.nodes=" + "9" * 50_000,
        "source.nodes=2024-13-45",
        "source.nodes=!!int x",
        "source.nodes=!!python/object/apply:os.system [id]",
        "source.nodes=&a [*a]",
        "sinks[" + "9" * 5_000 + "].kind=memory",
        "sinks[99999999].kind=memory",
        "__class__.__init__=x",
        "source.nodes.__class__=x",
        'source.nodes=["a\\nb"]',
        "source.nodes=['a\u202eb']",
        "source.nodes=['a,b']",
        "source.nodes=['']",
        "source.feed=../../x",
        "source.clock={__class__: x}",
        "drain.group=../x",
        'drain={sinks: [{kind: memory}], group: "a\'; drop table iso_position"}',
    ],
)
def test_an_override_is_refused_in_a_line(victim: Victim, override: str) -> None:
    error = victim.attacked("run", victim.spec, "--set", override, code=3)
    assert error.startswith("SpecError: ")
    assert len(error) < 60_000


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/proc/self/mem", "/"])
def test_a_spec_that_is_no_file_is_not_read_to_its_end(victim: Victim, path: str) -> None:
    error = victim.attacked("run", path, code=3)
    assert "SpecError" in error


NASTY = [
    "a'b",
    'a"b',
    "a\\",
    "$$x$$",
    "%s",
    "a;--",
    "../../x",
    "a&b=c#d",
    "{x}",
    "a\u2019b",
    "*",
    "?",
    "[a]",
    "a/b",
    "~",
]


def test_names_of_places_stay_names_all_the_way(victim: Victim) -> None:
    """They are in a chunk's key, in requests, in the archive, in both stores of what is done: as text, and nowhere else."""
    names = ",".join("'" + each.replace("'", "''") + "'" for each in NASTY)
    victim.environment["AURUM_CAISO_BASE"] = "http://127.0.0.1:9/"
    error = victim.attacked(
        "run", victim.spec, *JULY, "--set", f"source.nodes=[{names}]", "--set", "source.attempts=1", code=5
    )
    assert "cannot be reached" in error
    assert victim.json("status")["datasets"][0]["failed"]
    (row,) = victim.json("inspect", "select distinct dataset from requests")
    assert row == {"dataset": "caiso_lmp"}
    for command in (("coverage", victim.spec), ("gaps", victim.spec, *JULY)):
        victim.ended(*command, "--set", f"source.nodes=[{names}]")
        assert "Traceback" not in victim.ended(*command)[2]
