"""Records of many receipts, written as one table: one by one they would take minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from aurum_etl.watermarks import Store


def fill(
    store: Store, count: int, start: datetime, length: timedelta, *, datasets: int = 1, failed_each: int = 0
) -> None:
    """So many receipts of windows in a row: `caiso_lmp` and as many siblings, each window of a dataset following the last.

    With `failed_each`, one in so many is a failure.
    """
    with store.transaction() as connection:
        connection.execute(
            """insert into receipts
               with numbered as (
                    select range as number, range % $datasets as sibling,
                           $start::timestamptz + range // $datasets * $length::interval as window_start
                    from range($count))
               select number + (select coalesce(max(number), 0) + 1 from receipts),
                      case sibling when 0 then 'caiso_lmp' else 'sibling_' || sibling end, 'ALL', 'ALL', [],
                      window_start, window_start + $length::interval,
                      case sibling when 0 then 'caiso_lmp' else 'sibling_' || sibling end || '[ALL]@' || number, 'live',
                      case when $failed_each > 0 and number % $failed_each = 0 then 'failed' else 'done' end,
                      window_start, window_start, 24, 24, 0, 24, 1, ['iceberg'], '{"fetch": 0.5}',
                      '[["iceberg", "iso.lmp", 24, "9", true]]', '[]', null, '', 1000, '[]', '', '',
                      null
               from numbered""",
            {"count": count, "datasets": datasets, "start": start, "length": length, "failed_each": failed_each},
        )
