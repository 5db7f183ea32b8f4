"""What to do where a server refuses the secret that it was shown: it may be an old one, out of what is cached."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")
T = TypeVar("T")


def once_more_if_refused(
    ask: Callable[[S], T],
    look: Callable[[], S],
    forget: Callable[[], None],
    is_refusal: Callable[[Exception], bool],
) -> T:
    """What comes of asking with what `look` gives; where that is refused, and it is another past what is cached, of asking
    with that.

    Raises: what `ask` does.
    """
    shown = look()
    try:
        return ask(shown)
    except Exception as error:
        if not is_refusal(error):
            raise
        forget()
        if (renewed := look()) == shown:
            raise
    return ask(renewed)
