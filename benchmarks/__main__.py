"""Everything that is measured: `python -m benchmarks [quick|full] [--only MODULE… [--keep]] [--rounds N] [--guard]`.

A whole run leaves its table and its document in `benchmarks/results/`, a full one also in the README and, reckoned further, in
`benchmarks/PLAN.md`; with `--only` the table is printed, and kept if `--keep` says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from aurum_etl import telemetry
from benchmarks import plan, table
from benchmarks.race import ROOT, Figure, Ground, Race, races_of, run

MODULES = ("parse", "timescale", "iceberg", "kafka", "codec", "backfill", "startup", "records", "newcomer")
README = ROOT / "README.md"
_ROUNDS = {"quick": 2, "full": 3}
_FULL_ALONE = ("records", "newcomer")


def main() -> None:
    """Run the races, print the table, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", nargs="?", choices=list(_ROUNDS), default="quick")
    parser.add_argument("--only", nargs="+", choices=MODULES, metavar="MODULE", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--rounds", type=int, help="of each race; by default 2 of quick ones and 3 of full ones")
    parser.add_argument("--keep", action="store_true", help="keep what --only measured in place of what was on record")
    parser.add_argument("--guard", action="store_true", help="fail where a ratio is much worse than the stored one")
    options = parser.parse_args()
    telemetry.configure("error", as_json=False)
    stored = table.RESULTS / f"{options.size}.json"
    before: list[Figure] = json.loads(stored.read_text())["figures"] if options.guard else []
    figures: list[Figure] = []
    constants: dict[str, float] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        ground = Ground(full=options.size == "full", folder=folder, stack=stack)
        rounds = options.rounds or _ROUNDS[options.size]
        for module in options.only or MODULES:
            if module in _FULL_ALONE and not ground.full and not options.only:
                continue
            for race in races_of(module, ground):
                result = run(race, rounds, _say)
                if table.worse(result.figures, _of(before, race)):
                    # Once more before it counts: a machine that is shared has moods.
                    result = run(race, rounds + 2, _say)
                figures += result.figures
                constants |= result.constants
    told = table.document(options.size, datetime.now(UTC).date(), figures, constants)
    print(table.markdown(told))
    if options.keep:
        told = table.together(json.loads(stored.read_text()), told)
    if options.keep or not options.only:
        stored.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        stored.with_suffix(".md").write_text(table.markdown(told))
        if ground.full:
            README.write_text(table.quoted(README.read_text(), told))
            plan.write(told)
    if options.guard:
        held = {race["path"] for race in figures}
        worse = table.worse(figures, [each for each in before if not options.only or each["path"] in held])
        if worse:
            sys.exit("worse than it was:\n" + "\n".join(worse))


def _of(stored: list[Figure], race: Race) -> list[Figure]:
    return [each for each in stored if each["path"] == race.path]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
