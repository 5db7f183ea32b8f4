"""Audit of exactly what is pinned: `PYTHONPATH=.ci python -m supply.audit`.

Vulnerabilities are asked for at OSV and at the registry. Who cannot be asked is told, and never counts as good news. Then
how the pins stand in the registry, and under which licenses they are. What is found fails; what could not be asked does not.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from supply.advisories import advisories_by_uv, ignored_of, judged
from supply.licenses import license_of, objections, policy_of
from supply.pins import ROOT, read_pins
from supply.registry import advisories_of, registry_of, standing_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from supply.advisories import Asked
    from supply.pins import Pin
    from supply.registry import Standing


def main(root: Path = ROOT) -> int:
    """Tell everything; what is wrong goes to standard error. Returns how much that is."""
    pins, now = read_pins(root).constraints, datetime.now(UTC)
    registry = registry_of(root / "uv.lock")
    answers = [advisories_by_uv(pins, root), advisories_of(pins, registry)]
    wrong = _vulnerabilities(pins, answers, root, now)
    wrong += _standing(standing_of(pins, registry), len(pins), now)
    policy = policy_of(root / "pyproject.toml")
    wrong += objections(pins, policy)
    by_name = [f"{pin.release} ({license_of(pin, policy)})" for pin in pins if pin.name in policy.by_name]
    print(f"licenses: {len(pins)} versions; allowed by name: {', '.join(by_name)}")
    print(*(f"WRONG: {each}" for each in wrong), sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return len(wrong)


def _vulnerabilities(pins: Sequence[Pin], answers: Sequence[Asked], root: Path, now: datetime) -> list[str]:
    for answer in answers:
        print(f"vulnerabilities, {answer.service}: told of {len(answer.pins)} of {len(pins)} versions")
        _tell_unasked(f"vulnerabilities, {answer.service}", answer.unasked)
    judgment = judged(pins, answers, ignored_of(root / "pyproject.toml"), now.date())
    print(*(f"vulnerabilities: {each}" for each in judgment.told), sep="\n", end="\n" if judgment.told else "")
    print(
        f"vulnerabilities: {len(judgment.wrong)} in the {len(pins) - len(judgment.unasked)} versions that were told of"
    )
    if judgment.unasked:
        print(
            f"WARNING: NOT AUDITED, since no service told of them: {', '.join(pin.release for pin in judgment.unasked)}"
        )
    return judgment.wrong


def _standing(standing: Standing, count: int, now: datetime) -> list[str]:
    print(f"registry: {count - len(standing.unasked)} of {count} versions looked at, {len(standing.wrong)} of them bad")
    _tell_unasked("registry", standing.unasked)
    print(*(f"registry: {each}" for each in standing.told), sep="\n", end="\n" if standing.told else "")
    if ages := sorted((when, pin) for pin, when in standing.published.items()):
        for word, some in (("oldest", ages[:3]), ("newest", ages[:-4:-1])):
            print(f"registry: {word}: {', '.join(f'{pin} of {(now - when).days} days' for when, pin in some)}")
    return standing.wrong


def _tell_unasked(place: str, unasked: Mapping[Pin, str]) -> None:
    """Each reason once."""
    reasons = defaultdict(list)
    for pin, reason in unasked.items():
        reasons[reason].append(pin.name)
    for reason, names in reasons.items():
        print(f"WARNING: {place}: {reason} ({len(names)}: {', '.join(names[:5])}{', …' if len(names) > 5 else ''})")


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
