"""What a process of ours writes to standard error, whoever writes it: nothing that nobody may see.

Events and messages are redacted where they are made. This is for what is not ours: libraries that log, warnings, tracebacks of
what nobody foresaw, in any thread.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, TextIO, cast

from aurum_etl.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType


def guard() -> None:
    """From now on nothing reaches standard error, or a log of the standard library, that nobody may see.

    Whoever runs a process calls it first: importing the package changes nothing.

    Twice:  the second call changes nothing, unless standard error is another one.
    """
    if not isinstance(sys.stderr, Guarded):
        sys.stderr = cast("TextIO", Guarded(sys.stderr))
    logging.setLogRecordFactory(_Record)
    # A hook that somebody has set means something by it, and what it writes is guarded as well.
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _tell
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _tell_of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _tell_of_unraisable


class Guarded:
    """A text stream that is given everything redacted. It has no `buffer`: bytes would pass by unseen."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """How many characters were taken, which are all of them."""
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Each of them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


class _Record(logging.LogRecord):
    """What a library logs, as every handler has it, also one that writes elsewhere than to standard error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.exc_info, tuple) and self.exc_info[0] is not None:
            # What is here already is not formatted again.
            self.exc_text = redacted("".join(traceback.format_exception(*self.exc_info)).rstrip())

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        return redacted(super().getMessage())


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """All of it at once: what is in several lines would not be recognized in each."""
    sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))


def _tell_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        sys.stderr.write(f"Exception in thread {args.thread.name if args.thread else '?'}:\n")
        _tell(args.exc_type, args.exc_value, args.exc_traceback)


def _tell_of_unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        sys.stderr.write(f"{args.err_msg or 'Exception ignored in'}: {args.object!r}\n")
        _tell(args.exc_type, args.exc_value, args.exc_traceback)
