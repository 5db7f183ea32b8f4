"""Events, not prose: `chunk.committed` with dataset, window, rows, seconds, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

from aurum_etl.redaction import hidden_in

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger

LEVELS = ("debug", "info", "warning", "error")


def configure(level: str, *, as_json: bool) -> None:
    """Send events of at least `level` to standard error, for people, or one JSON object a line."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=24,
            # The library's own shows the values of all variables.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Tracebacks are text before secrets are looked for.
            structlog.processors.format_exc_info,
            _redacted,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # Looked up each time: while a live board is shown, standard error is its own, and lines stand above it.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _redacted(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The event without what nobody may see, however deep in it."""
    found: EventDict = hidden_in(event)
    return found


def manner() -> tuple[str, bool] | None:
    """What `configure` was told, for telling another process; None if it was not called."""
    if not structlog.is_configured():
        return None
    settings = structlog.get_config()
    level = logging.getLevelName(structlog.get_logger().get_effective_level()).lower()
    return level, isinstance(settings["processors"][-1], structlog.processors.JSONRenderer)


def logger() -> FilteringBoundLogger:
    """The logger of all events."""
    log: FilteringBoundLogger = structlog.get_logger()
    return log
