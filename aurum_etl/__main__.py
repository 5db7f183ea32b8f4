"""`python -m aurum_etl` is `aurum-etl`."""

from __future__ import annotations

from aurum_etl.cli import main

if __name__ == "__main__":
    main()
