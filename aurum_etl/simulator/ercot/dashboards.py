"""The dashboard of generation by fuel: yesterday and today, every five minutes.

Power is in 0.001 MW.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from aurum_etl.simulator.base import Answer, damaged
from aurum_etl.simulator.ercot import clock, wire
from aurum_etl.simulator.invented import decimal_text, load_shape, mixed
from aurum_etl.simulator.pjm.shapes import shaped, sun, wind

_CAPACITY = {
    "Coal and Lignite": 12800, "Hydro": 580, "Natural Gas": 67000, "Nuclear": 5270, "Other": 150, "Power Storage": 14100,
    "Solar": 33400, "Wind": 40500,
}  # fmt: skip
_SHARES = {
    "Coal and Lignite": pl.col("load") * 0.8,
    "Hydro": pl.max_horizontal(pl.col("load") - 0.75, pl.lit(0.0)) * 0.5,
    "Natural Gas": pl.col("load") * 0.6,
    "Nuclear": pl.lit(0.97),
    "Other": pl.lit(0.33),
    # What discharges; charging is not counted here.
    "Power Storage": pl.max_horizontal(pl.col("load") - 0.8, pl.lit(0.0)),
    "Solar": pl.col("sun"),
    "Wind": pl.col("wind") * 0.6,
}
_FIVE = timedelta(minutes=5)
_FIRST_PART = ("Coal and Lignite", "Hydro", "Nuclear", "Other")
_SECOND_PART = ("Power Storage", "Solar", "Wind", "Natural Gas")
_UNKNOWN = "XYZ"


def fuel_mix(seed: int, now: datetime, fault: str | None) -> Answer:
    """The last two days up to now."""
    today = clock.wall(now).date()
    days = []
    for day in (today - timedelta(1), today):
        samples = _broken(_samples(seed, day, now), fault)
        if not samples.is_empty():
            days.append(f'"{day}":{{{_text(samples, fault)}}}')
    updated = now.replace(second=0, microsecond=0, tzinfo=UTC).astimezone(clock.CENTRAL)
    head = wire.compact(
        {"lastUpdated": f"{updated:%Y-%m-%d %H:%M:%S%z}", "monthlyCapacity": _CAPACITY, "types": list(_CAPACITY)}
    )
    body = f'{head[:-1]},"data":{{{",".join(days)}}}}}'.encode()
    headers = {"Content-Type": "application/json", "Cache-Control": "max-age=60"}
    return Answer(200, headers, damaged(body, fault))


def _samples(seed: int, day: date, now: datetime) -> pl.DataFrame:
    """The intervals of a day that are over, stamped some seconds before their end.

    Now and then the fuels of one interval stand under two stamps.
    """
    span = clock.midnight(day), clock.midnight(day + timedelta(1))
    rows = clock.grid(span, 5).filter(pl.col("start") + _FIVE <= now)
    rows = rows.with_columns(local=clock.central(pl.col("start")), place=pl.lit(0))
    for name, shape in (("load", load_shape), ("sun", sun), ("wind", wind)):
        rows = shaped(rows, "local", shape).rename({"shape": name})
    number = clock.epoch(300)
    chance = (mixed(number, seed) // 64).cast(pl.Int64)
    rows = rows.with_columns(
        (
            (_CAPACITY[fuel] * share * 1000).cast(pl.Int64)
            * (1000 + (mixed(number * 16 + place, seed + 40) % 41).cast(pl.Int64) - 20)
            // 1000
        ).alias(fuel)
        for place, (fuel, share) in enumerate(_SHARES.items())
    ).with_columns(
        early=pl.when(chance % 50 == 0).then(2).otherwise(4),
        shown=pl.when(chance % 150 == 7).then(pl.lit("first")).otherwise(pl.lit("whole")),
        rotated=chance % 3 == 0,
    )
    second = rows.filter(pl.col("shown") == "first").with_columns(early=pl.col("early") - 1, shown=pl.lit("second"))
    rows = pl.concat([rows, second]).with_columns(stamp=pl.col("start") + _FIVE - pl.duration(seconds=pl.col("early")))
    return rows.sort("stamp")


def _broken(samples: pl.DataFrame, fault: str | None) -> pl.DataFrame:
    first = pl.col("start") == pl.col("start").min()
    match fault:
        case "missing_hour":
            return samples.filter(~first)
        case "off_grid":
            late = pl.when(first).then(timedelta(minutes=2)).otherwise(timedelta())
            return samples.with_columns(pl.col("stamp") + late)
        case "duplicate_rows":
            return pl.concat([samples, samples.head(3)])
        case _:
            return samples


def _text(samples: pl.DataFrame, fault: str | None) -> str:
    """Stamps with their fuels, which stand in one of two orders."""
    key = "generation" if fault == "wrong_header" else "gen"

    def fuels(names: tuple[str, ...]) -> pl.Expr:
        parts: list[pl.Expr] = []
        for name in names:
            shown = _UNKNOWN if fault == "unknown_word" and name == "Other" else name
            value = decimal_text(pl.col(name), 3)
            if fault == "text_in_number" and name == "Nuclear":
                value = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit('"n/a"')).otherwise(value)
            parts += [pl.lit(f'{"," if parts else ""}"{shown}":{{"{key}":'), value, pl.lit("}")]
        return pl.concat_str(parts)

    shown = (
        pl.when(pl.col("shown") == "first")
        .then(fuels(_FIRST_PART))
        .when(pl.col("shown") == "second")
        .then(fuels(_SECOND_PART))
        .when("rotated")
        .then(fuels((*_SECOND_PART, *_FIRST_PART)))
        .otherwise(fuels((*_FIRST_PART, *_SECOND_PART)))
    )
    stamp = (
        pl.col("stamp")
        .dt.replace_time_zone("UTC")
        .dt.convert_time_zone(clock.CENTRAL.key)
        .dt.to_string("%Y-%m-%d %H:%M:%S%z")
    )
    return str(samples.select(pl.concat_str(['"' + stamp + '":{', shown, pl.lit("}")]).str.join(",")).item())
