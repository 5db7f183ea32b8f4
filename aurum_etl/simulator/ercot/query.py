"""The query endpoints: rows of a product, filtered, sorted and paged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.ercot import clock, wire
from aurum_etl.simulator.ercot.product import QUERY_SINCE, Condition
from aurum_etl.simulator.ercot.wire import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.simulator.ercot.product import Column, Product, Scope

MOST_ROWS = 2_000_000
"""As `downloadLimit` says."""
_DEFAULT_SIZE = 100
_PAGING = ("page", "size", "sort", "dir", "subscription-key")
_FLAGS = ("DSTFlag", "repeatHourFlag")


@dataclass(frozen=True, slots=True)
class Question:
    """A request, understood."""

    product: Product
    page: int
    size: int
    sort: str
    """Empty for the order that the product has by itself."""
    descending: bool
    filters: Mapping[str, str]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A day of rows, made only if a page needs it."""

    count: int
    rows: Callable[[], pl.DataFrame]


def question(product: Product, query: Mapping[str, str]) -> Question:
    """What is asked for, or why that is not possible."""
    filters = {name: text for name, text in query.items() if name not in _PAGING}
    numbers = []
    for name, default in (("page", 1), ("size", _DEFAULT_SIZE)):
        text = query.get(name, str(default))
        if not text.isdecimal() or not 1 <= int(text) <= MOST_ROWS:
            raise Refused(400, f"{name} is a number from 1 to {MOST_ROWS}.")
        numbers.append(int(text))
    sort, direction = query.get("sort", ""), query.get("dir", "asc").lower()
    if sort and product.column(sort) is None:
        raise Refused(400, f"{sort} is no field of {product.emil}.")
    if direction not in ("asc", "desc"):
        raise Refused(400, "dir is asc or desc.")
    conditions = tuple(_condition(product, name, text) for name, text in filters.items())
    return Question(product, numbers[0], numbers[1], sort, direction == "desc", filters, conditions)


def _condition(product: Product, name: str, text: str) -> Condition:
    column = product.column(name)
    if column is not None and not column.has_range:
        return Condition(column.name, _equal(column, text))
    for ending, is_first in (("From", True), ("To", False)):
        column = product.column(name.removesuffix(ending)) if name.endswith(ending) else None
        if column is not None and column.has_range:
            return _bound(column, text, is_first=is_first)
    raise Refused(400, f"{name} is no parameter of {product.emil}.")


def _equal(column: Column, text: str) -> pl.Expr:
    if column.kind == "VARCHAR":
        return pl.col(column.name) == text
    if text.lower() not in ("true", "false"):
        raise Refused(400, f"{column.name} is true or false.")
    return pl.col(column.name) == (text.lower() == "true")


def _bound(column: Column, text: str, *, is_first: bool) -> Condition:
    """Both ends of a range count."""
    cell = pl.col(column.name)
    try:
        match column.kind:
            case "DATE":
                day = date.fromisoformat(text)
                stamp = datetime.combine(day, time() if is_first else time.max)
                predicate = cell >= day if is_first else cell <= day
            case "DATETIME":
                stamp = datetime.fromisoformat(text)
                if stamp.tzinfo is not None:
                    raise ValueError(text)
                predicate = cell >= stamp if is_first else cell <= stamp
            case _:
                number = float(text) * 10**column.digits
                return Condition(column.name, cell >= number if is_first else cell <= number)
    except ValueError:
        raise Refused(400, f"{text} is no value of {column.name}.") from None
    return Condition(column.name, predicate, *((stamp, None) if is_first else (None, stamp)))


def answer(asked: Question, scope: Scope, base: str, fault: str | None) -> bytes:
    """The body. Without any filter the API answers what the columns are, and no rows."""
    product = asked.product
    total, rows = _page(asked, replace(scope, conditions=asked.conditions)) if asked.filters else (0, None)
    report = {
        "reportName": product.artifact,
        "reportDisplayName": product.name,
        "reportId": str(product.report_type),
        "reportEMIL": product.emil,
        "downloadLimit": MOST_ROWS,
    }
    links = {
        "self": {"href": f"{base}/{product.path}/{product.artifact}"},
        "parent": {"href": f"{base}/{product.path}"},
    }
    described = {"report": report, "fields": wire.field_list(product.columns, product, fault)}
    if rows is None:
        return wire.compact({**described, "_links": links}).encode()
    broken = rows if rows.is_empty() else wire.broken(rows, fault, product)
    total += broken.height - rows.height
    text = wire.json_rows(broken, product.columns, product, fault)
    head = wire.compact({"_meta": meta(asked.page, asked.size, total, asked.filters, _order(asked)), **described})
    return f'{head[:-1]},"data":[{text}],"_links":{wire.compact(links)}}}'.encode()


def meta(page: int, size: int, total: int, filters: Mapping[str, str], order: str) -> dict[str, object]:
    """The head of every list."""
    return {
        "totalRecords": total,
        "pageSize": size,
        "totalPages": -(-total // size),
        "currentPage": page,
        "query": {"parameterCount": len(filters), "parameters": dict(filters), "sortedBy": order},
    }


def _order(asked: Question) -> str:
    if asked.sort:
        return f"{asked.sort}: {'DESC' if asked.descending else 'ASC'}"
    return ",".join(f"{name}: {'ASC' if number else 'DESC'}" for number, name in enumerate(asked.product.order))


def _page(asked: Question, scope: Scope) -> tuple[int, pl.DataFrame]:
    """How many rows there are, and those of the page."""
    by_day = asked.sort in ("", asked.product.order[0])
    newest_first = asked.descending if asked.sort else True
    parts = [_part(asked.product, scope, day, newest_first=newest_first) for day in _days(asked, scope)]
    total = sum(each.count for each in parts)
    first, size = (asked.page - 1) * asked.size, asked.size
    if not by_day:
        if total > MOST_ROWS:
            raise Refused(400, f"More than {MOST_ROWS} rows cannot be sorted.")
        rows = [each.rows() for each in parts if each.count]
        if not rows:
            return 0, pl.DataFrame()
        sorted_rows = pl.concat(rows).sort(asked.sort, descending=asked.descending, maintain_order=True)
        return total, sorted_rows.slice(first, size)
    found, passed = [], 0
    for part in parts if newest_first else reversed(parts):
        if passed < first + size and passed + part.count > first:
            start = max(first - passed, 0)
            found.append(part.rows().slice(start, first + size - passed - start))
        passed += part.count
    return total, pl.concat(found) if found else pl.DataFrame()


def _days(asked: Question, scope: Scope) -> list[date]:
    """The days that may have rows, newest first."""
    product = asked.product
    first, last = QUERY_SINCE, clock.wall(scope.now).date() + timedelta(2)
    before, behind = product.reach
    for each in asked.conditions:
        own = each.column == product.order[0]
        if each.column != "deliveryDate" and not own:
            continue
        if each.first is not None:
            first = max(first, each.first.date() - timedelta(0 if own else min(before, _since_start(each.first))))
        if each.last is not None:
            last = min(last, each.last.date() + timedelta(0 if own else behind))
    return [last - timedelta(number) for number in range((last - first).days + 1)]


def _since_start(moment: datetime) -> int:
    """Dates have a beginning, before which nothing can be posted."""
    return (moment.date() - date.min).days


def _part(product: Product, scope: Scope, day: date, *, newest_first: bool) -> _Part:
    span = clock.midnight(day), clock.midnight(day + timedelta(1))
    labels = product.labels(scope, span)
    places = scope.wanted(product.places(scope))
    known = {*labels.columns, *places.columns}
    order = list(product.order)
    # The repeated hour comes before the hour that it repeats: so was it recorded.
    order += [each for each in _FLAGS if product.column(each) is not None]

    def made() -> pl.DataFrame:
        descending = [each in _FLAGS or (newest_first and number == 0) for number, each in enumerate(order)]
        return product.made(scope, labels).sort(order, descending=descending)

    if all(each.column in known for each in scope.conditions):
        return _Part(labels.height * places.height, made)
    rows = made()
    return _Part(rows.height, lambda: rows)
