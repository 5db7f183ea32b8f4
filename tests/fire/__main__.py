"""`python -m tests.fire [--seed N] [--share X] [--days N]`: a month under fire by hand, and what happened."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from aurum_etl import telemetry
from tests.fire import month, wrong


def main() -> int:
    """Print both months, and what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.3, help="How much of the requests a storm meets.")
    parser.add_argument("--days", type=int, default=62)
    parser.add_argument("--verbose", action="store_true", help="Tell every retry.")
    asked = parser.parse_args()
    telemetry.configure("warning" if asked.verbose else "error", as_json=False)
    with TemporaryDirectory() as folder:
        calm = month(Path(folder) / "calm", days=asked.days)
        print(f"Calm: {calm.told()}\n", flush=True)  # noqa: T201 - a report
        fire = month(Path(folder) / "fire", days=asked.days, weather=f"{asked.seed}:{asked.share}")
        found = wrong(fire, calm)
        print(f"Under fire: {fire.told()}\n\n{chr(10).join(found) or 'nothing is wrong'}")  # noqa: T201
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
