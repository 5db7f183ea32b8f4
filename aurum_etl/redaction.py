"""What nobody may see, and text without it: one list of values, and one place that hides them.

Whoever reads a secret says so with `know` or `know_address`, once; from then on `redacted` hides it, whatever it stands in
and however it is spelled there. What has not been read by this process, such as the key of somebody else in an answer, is
found by the words around it: `password=`, `Authorization:`, `user:password@`.

- **What is short** stands in half of all words: below four characters a value is hidden only where the words around it tell.
- **What could be a word** (`postgres`, `caiso_2024`) is hidden where it stands alone, and not inside of other words.
- **What is part of another value**: the longest is hidden first, so that no rest of it is left.
- **Several keys in one value**, set apart by commas, are sent one at a time: each is hidden by itself, too.
- **Spellings**: each character as it is, percent-encoded (also twice), escaped by JSON, `repr`, C, SQL, XML or a shell, in any
  mixture; and base64 of `user:password`, which is what a Basic header has.

Rows that are put aside are searched for what is known and is no word, and for nothing else; rows that are loaded are not: what
an operator published stays as it is.
"""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus, unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import polars as pl

HIDDEN = "…"
"""What stands in the place of what is hidden."""
_SHORTEST = 4
_SHORTEST_PART = 8
"""A part of a value is hidden by itself from here on: a password may have a comma in it, and a key is long."""
_LONGEST_WORD = 15
"""Longer than that, nothing is a word by chance."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A value to be hidden."""

    value: str
    core: str
    """Its longest run of letters and digits, which stands in every spelling: most texts are done with by looking for it."""
    pattern: re.Pattern[str]
    """Every spelling."""
    is_word: bool


_known: tuple[_Known, ...] = ()
"""The longest first. Never changed, only replaced: who reads needs no lock."""
_learning = threading.Lock()


def know(*values: str) -> None:
    """Hide these values from now on, in everything that this process tells."""
    global _known  # noqa: PLW0603 - there is one list for the whole process
    with _learning:
        have = {each.value for each in _known}
        new = {form for value in values for form in _forms(value) if len(form) >= _SHORTEST} - have
        if new:
            _known = tuple(sorted((*_known, *map(_to_be_hidden, new)), key=lambda each: len(each.value), reverse=True))


def know_address(address: str) -> None:
    """Hide the password of an address from now on: of a URI, of several with commas between them, or of `key=value` words.

    What cannot be read as it should be is read generously: a library's complaint about it repeats the part that it took for
    something else, such as the rest of a password behind its blank for a word.
    """
    for each in re.split(r",(?=[A-Za-z][\w+.-]*://)", address):
        scheme, found, rest = each.partition("://")
        if not found:
            for value in _PASSWORD_WORD.findall(each):
                bare = re.sub(r"\\(.)", r"\1", value.strip().strip("'"))
                know(value.strip(), bare, *(re.split(r"\s+", bare) if re.search(r"\s", bare) else ()))
            continue
        user_info, _, _ = rest.rpartition("@")
        user, _, password = user_info.partition(":")
        if not password and scheme.lower() in ("http", "https"):
            # A name without a password is a key.
            user, password = "", user
        if password:
            parts = re.split(r"[/@?#:\s]", password)
            know(
                password, unquote(password), f"{unquote(user)}:{unquote(password)}", *(parts if len(parts) > 1 else ())
            )
        for name, value in parse_qsl(rest.partition("?")[2].partition("#")[0]):
            if says_secret(name):
                know(value)


def redacted(text: str) -> str:
    """The text without what nobody may see."""
    text = without_known(text)
    lowered = text.lower()
    for each in _TELLTALES:
        if any(word in lowered for word in each.any_of):
            for pattern, instead in each.patterns:
                text = pattern.sub(instead, text)
    return text


def start_of(text: str, most: int = 300) -> str:
    """So many of its first characters; cut after secrets are hidden, since of one in two pieces neither would be recognized."""
    text = redacted(text)
    return text if len(text) <= most else f"{text[:most]}…"


def without_known(text: str, *, words: bool = True) -> str:
    """The text without the values that are known, whatever else it says; `words` are those that could be words."""
    for each in _known:
        if each.core in text and (words or not each.is_word):
            text = each.pattern.sub(HIDDEN, text)
    return text


def without_known_in(column: pl.Series) -> pl.Series:
    """The texts of a column without the values that are known, but those that could be words: rows are what was published."""
    cores = sorted({each.core for each in _known if each.core and not each.is_word})
    if not cores:
        return column
    places = column.str.contains_any(cores).fill_null(value=False).arg_true()
    if places.is_empty():
        return column
    return column.clone().scatter(places, [without_known(text, words=False) for text in column.gather(places)])


def hidden_in(value: Any) -> Any:
    """The value with every text in it redacted, however deep, and without what stands under a name that says secret."""
    match value:
        case str():
            return redacted(value)
        case dict():
            return {hidden_in(name): _field(name, each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            # Nobody who is told needs to know which of them it was.
            return [hidden_in(each) for each in value]
        case None | bool() | int() | float():
            return value
        case _:
            told = str(value)
            shown = redacted(told)
            return value if told == shown else shown


def _field(name: object, value: object) -> object:
    if isinstance(name, str) and isinstance(value, str) and _FIELD.search(name):
        return HIDDEN if re.match(rf"{_NOT_HERE}.", value, re.DOTALL) else value
    return hidden_in(value)


def says_secret(name: str) -> bool:
    """Whether a request's argument of that name holds something that nobody may see."""
    return _ARGUMENT.search(name) is not None


def shown(query: Iterable[tuple[str, str]]) -> str:
    """Arguments of a request for messages and records: without what looks like a key, wherever an ISO wants it."""
    pairs = ((name, HIDDEN if says_secret(name) and value else without_known(value)) for name, value in query)
    return "&".join(f"{quote_plus(name, safe=_PLAIN)}={_quoted(value)}" for name, value in pairs)


def address_of(address: str, query: Iterable[tuple[str, str]] = ()) -> str:
    """The address with its arguments, for messages and records: without user, password, and what looks like a key."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return redacted(address)
    arguments = shown([*parse_qsl(parts.query, keep_blank_values=True), *query])
    return redacted(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, arguments, "")))


_PLAIN = ",:/*"
"""What is readable in an argument as it is."""


def _quoted(value: str) -> str:
    return HIDDEN.join(quote_plus(each, safe=_PLAIN) for each in value.split(HIDDEN))


def _forms(value: str) -> Iterator[str]:
    """The value, what it is made of, and what it becomes in a Basic header."""
    value = value.strip()
    yield value
    for apart in (",", "\n"):
        if apart in value:
            yield from (part for each in value.split(apart) if len(part := each.strip()) >= _SHORTEST_PART)
    if value.partition(":")[2]:
        encoded = base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()
        yield from (encoded.rstrip("="), encoded.translate(str.maketrans("+/", "-_")).rstrip("="))


def _to_be_hidden(value: str) -> _Known:
    is_word = len(value) <= _LONGEST_WORD and re.fullmatch(r"[\w-]+", value, re.ASCII) is not None
    spellings = "".join(map(_spelling, value))
    return _Known(
        value=value,
        core=max(re.split(r"[^A-Za-z0-9]+", value), key=len),
        pattern=re.compile(f"{_WORD_BEGINS}{spellings}{_WORD_ENDS}" if is_word else spellings),
        is_word=is_word,
    )


_WORD_BEGINS = r"(?:(?<![A-Za-z0-9_])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[abefnrtv0])|(?<=\\u[0-9A-Fa-f]{4}))"
"""Letters of an escape are no part of a word."""
_WORD_ENDS = r"(?![A-Za-z0-9_])"
_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\a": "a", "\v": "v"}


_SLASH = r"(?:\\|%(?:25)*5c)"
"""A backslash; an escaped text may be percent-encoded as a whole."""


def _spelling(char: str) -> str:
    """Every way to write the character."""
    if char.isascii() and char.isalnum():
        return char
    if char == "\\":
        return f"(?i:{_SLASH}+(?:u0*5c|x5c)|{_SLASH}+|&(?:amp;)*#(?:0*92|x0*5c);)"
    octets = char.encode("utf-8", "surrogateescape")
    units = char.encode("utf-16-be", "surrogatepass")
    forms = [
        # Lines are told as one.
        rf"(?:\+|\s+|{_SLASH}+{re.escape(char)})" if char.isspace() else f"{_SLASH}*{re.escape(char)}",
        _SLASH + "*" + "".join(f"%(?:25)*{octet:02x}" for octet in octets),
        "".join(rf"{_SLASH}+u{units[place : place + 2].hex()}" for place in range(0, len(units), 2)),
        rf"{_SLASH}+u0*{ord(char):x}",
        "".join(rf"{_SLASH}+x{octet:02x}" for octet in octets),
        f"&(?:amp;)*#0*{ord(char)};",
        f"&(?:amp;)*#x0*{ord(char):x};",
    ]
    if ord(char) < 256:
        forms.append(rf"{_SLASH}+x{ord(char):02x}")
    if char in _ENTITIES:
        forms.append(f"&(?:amp;)*{_ENTITIES[char]};")
    if char in _ESCAPES:
        forms.append(rf"{_SLASH}+{_ESCAPES[char]}")
    if char in "'\"":
        # Doubled by SQL and csv.
        forms.append(f"{_SLASH}*{char}{{2}}")
    # The longest first: what follows may be a backslash as well.
    return f"(?i:{'|'.join(reversed(forms))})"


_ARGUMENT = re.compile(r"key|token|secret|passw|credential|signature", re.IGNORECASE)
_NAME = (
    r"(?:passw(?:or)?d|passphrase|\bpwd|secret|token|signature|authorization|cookie|credential"
    r"|(?:api|subscription|access|private|account)[_-]?key)[\w.-]*"
)
"""Names of what nobody may see, from the telling word on. `key` alone is none: chunks and rows have keys as well."""
_FIELD = re.compile(_NAME, re.IGNORECASE)
_NOT_HERE = rf"(?!['\"]?(?:(?:vault|env|file):|{HIDDEN}))"
"""No secret follows: what says where one is, and not what it is, or what is hidden already."""
_PASSWORD_WORD = re.compile(
    r"\b(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|.*?(?=\s+\w+\s*=|\s*$))", re.IGNORECASE | re.DOTALL
)


class _Telltale:
    """What stands around a secret that nobody has told of."""

    def __init__(self, words: str, patterns: Sequence[tuple[re.Pattern[str], str]]) -> None:
        self.any_of = tuple(words.split())
        """Without one of these there is nothing to look for: most texts are done with by looking for them."""
        self.patterns = patterns
        """What is looked for, and what stands there then."""


def _pattern(text: str, instead: str = HIDDEN, flags: re.RegexFlag = re.IGNORECASE) -> tuple[re.Pattern[str], str]:
    return re.compile(text, flags), instead


_TELLTALES = (
    _Telltale("@", (_pattern(r"(?<=://)[^\s/?#\"'<>]+@", f"{HIDDEN}@"),)),
    _Telltale(
        "passw passphrase pwd secret token signature authorization cookie credential access private account "
        "subscription apikey api_key api-key",
        (
            _pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", flags=re.DOTALL),
            # A header: all that stands behind it.
            _pattern(
                r"\b((?:proxy-)?authorization|(?:set-)?cookie|x-vault-token|[\w-]*(?:api|subscription)-key)"
                r"(\\*['\"]?\s*[:,]\s*(?:b?\\*['\"])?)[^\r\n\"'<>\\]+",
                rf"\1\2{HIDDEN}",
            ),
            # A field of JSON or of a dict; the same inside of a text; a word of a connection or a form; an element.
            _pattern(
                rf"({_NAME}['\"]\s*:\s*)(?:\"{_NOT_HERE}(?:[^\"\\]|\\.)*\"|'{_NOT_HERE}(?:[^'\\]|\\.)*')",
                rf'\1"{HIDDEN}"',
            ),
            _pattern(rf"({_NAME}\\+['\"]\s*:\s*\\+['\"]){_NOT_HERE}[^\"'\\]*", rf"\1{HIDDEN}"),
            _pattern(
                rf"({_NAME}\s*=\s*){_NOT_HERE}(?:'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|[^\s&\"'<>]+)",
                rf"\1{HIDDEN}",
            ),
            _pattern(rf"(<[\w.-]*{_NAME}>)[^<]+", rf"\1{HIDDEN}"),
        ),
    ),
    _Telltale(
        "basic bearer negotiate",
        (_pattern(r"\b(basic|bearer|negotiate)\s+(?=\S*\d)[\w+/=.~-]{12,}", rf"\1 {HIDDEN}"),),
    ),
    _Telltale("?key &key _key -key", (_pattern(rf"([?&][\w.-]*key[\w.-]*=){_NOT_HERE}[^\s&\"'<>]+", rf"\1{HIDDEN}"),)),
    # What looks like nothing else: signed tokens, keys of AWS, tokens of Vault.
    _Telltale("eyj", (_pattern(r"\beyJ[\w-]{10,}\.[\w-]+\.[\w-]*", flags=re.NOFLAG),)),
    _Telltale(
        "akia asia hvs. hvb. hvr.",
        (_pattern(r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|hv[sbr]\.[\w-]{20,})", flags=re.NOFLAG),),
    ),
)
