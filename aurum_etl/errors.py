"""Everything that can go wrong, as one tree.

AurumError
├─ UsageError           what you asked for on the command line does not fit together
├─ SpecError            what you wrote: file, path, value, choices
├─ SecretError          a secret that is needed cannot be had: name, where it was looked for, what to do
│  ├─ SecretDenied         Vault knows who asks, and does not give it: no policy allows it, or no mount is there
│  └─ VaultUnavailable     try again: Vault is down, sealed or unreachable
├─ SourceError          the ISO's side
│  ├─ SourceUnavailable    try again after `wait_seconds`
│  │  └─ SourceUnreachable    nothing answers at all: the network's side
│  ├─ NotYetPublished      nobody's fault: `until` tells when it is due
│  ├─ SourceResting        its circuit breaker is open `until` then
│  ├─ NoData               the source's own word that there is nothing
│  ├─ AccessDenied         the ISO refuses the credentials
│  ├─ TooLarge             more was asked for at once than the ISO gives: ask for less
│  └─ SourceChanged        a person must look
├─ ContractViolation    the frame broke its contract; carries the findings
├─ SinkError            the store's side
│  ├─ SinkUnavailable      try again
│  ├─ CommitFailed         try again
│  │  └─ Overtaken            another drain has read on: stand back
│  └─ CommitUnknown        look for the chunk key, then try again
├─ QuotaSpent           the budget is used up `until` then
├─ Stopped              the whole run is being stopped: the chunk is as if it had not begun
├─ ClusterLost          the scheduler that the workers belong to has gone away: go on once it is back
├─ WatermarkError       the record of what is done cannot be read or written
│  └─ RecordUnreadable     its file is damaged, or not of this program: rebuild it
└─ ArchiveError         the archive holds no such answer, or it is damaged

An error answers two questions: whose move is it, and is trying again sensible. One that has an `until` is no failure: the
chunk is postponed, and as if it had not begun.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar, Literal

from aurum_etl.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

EXIT_OK = 0
EXIT_CHUNK_FAILED = 1
EXIT_USAGE = 2
EXIT_SPEC = 3
EXIT_QUOTA = 4
EXIT_SOURCE = 5
EXIT_SINK = 6
EXIT_INTERRUPTED = 130


class AurumError(Exception):
    """Base of all errors that the engine raises on purpose.

    What it says is without secrets from the beginning, since it goes everywhere: into the log, receipts, the audit log, alerts
    and documents, and to other processes.
    """

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = EXIT_CHUNK_FAILED

    def __init__(self, message: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(redacted(message))
        self.wait_seconds = wait_seconds
        """How long the other side asked to be left alone, in seconds; None if it did not say."""
        self.until: datetime | None = None
        """When the same chunk is worth another try; None where the error is not about time."""
        self.chunk_key: str | None = None
        """The chunk that was being worked on; set in one place, by the pipeline."""

    def __reduce__(self) -> tuple[object, ...]:
        """Errors travel between processes with everything they know, whatever their kind wants to be made of."""
        return _again, (type(self), self.args), self.__dict__


class UsageError(AurumError):
    """The command line does not fit together, or does not fit what is there."""

    exit_code = EXIT_USAGE


class SpecError(AurumError):
    """What the user wrote cannot be run; the message names file, path, value and choices."""

    exit_code = EXIT_SPEC


class SecretError(AurumError):
    """A secret that is needed is not where it should be, or may not be read; the message names it and where it was looked for,
    never its value.
    """

    exit_code = EXIT_SPEC


class SecretDenied(SecretError):
    """Vault accepts who asks, and does not give them this: the message names what a policy must allow, or the mount that is
    not there.
    """


class VaultUnavailable(SecretError):
    """Vault does not answer, or is sealed, and what it last said is too old to go by."""

    retryable = True


class SourceError(AurumError):
    """The ISO did not give what was asked for."""

    attempts: int = 0
    """How often it was asked; 0 where the error did not come out of asking."""


class SourceUnavailable(SourceError):
    """The ISO cannot answer now; the same request may succeed later."""

    retryable = True
    exit_code = EXIT_SOURCE


class SourceUnreachable(SourceUnavailable):
    """No connection could be made: more likely the network here than the ISO."""


class NotYetPublished(SourceError):
    """The ISO has no data yet, and it is too early to call that final; `until` is when it should be there, by the dataset's
    publication lag.
    """

    exit_code = EXIT_SOURCE

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class SourceResting(SourceError):
    """So many requests have failed that the host is left alone; `until` is when it is tried again."""

    exit_code = EXIT_SOURCE

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class NoData(SourceError):
    """The ISO said, in its own words, that the selection holds nothing; whether that is final, its age decides."""


class SourceChanged(SourceError):
    """The answer is not in the documented format, or the request is refused for good."""


class AccessDenied(SourceError):
    """The ISO refuses the credentials, or their rights do not reach to what was asked for."""

    exit_code = EXIT_SOURCE


class TooLarge(SourceError):
    """The ISO refuses to answer so much at once; less of it may be had."""

    def __init__(self, message: str, *, about: Literal["window", "places"] | None = None) -> None:
        super().__init__(message)
        self.about = about
        """What there is too much of; None where the refusal does not say."""


class ContractViolation(AurumError):
    """So many rows break the contract that none is written."""


class SinkError(AurumError):
    """A store refused, or cannot be reached."""

    exit_code = EXIT_SINK


class SinkUnavailable(SinkError):
    """The store cannot be reached or opened."""

    retryable = True


class CommitFailed(SinkError):
    """The commit did not happen; nothing of it is visible."""

    retryable = True


class Overtaken(CommitFailed):
    """The store stands elsewhere on the topic than this drain: another one of its group has read on."""

    retryable = False


class CommitUnknown(SinkError):
    """The commit may or may not have happened, and the store could not be asked; a second commit replaces its scope."""

    retryable = True


class QuotaSpent(AurumError):
    """A budget is used up, and its next free moment, `until`, is further off than anybody wants to wait."""

    exit_code = EXIT_QUOTA

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class Stopped(AurumError):
    """The run is being stopped, and this chunk has given up."""

    exit_code = EXIT_INTERRUPTED


class ClusterLost(AurumError):
    """The scheduler of the workers can no longer be reached, so nobody knows what became of what they had in work."""


class WatermarkError(AurumError):
    """The record of what is done cannot be read or written."""


class RecordUnreadable(WatermarkError):
    """The record's file is damaged, or of another program or version; the stores can tell what it should hold."""


class ArchiveError(AurumError):
    """The archive holds no answer to this request, or what it holds is damaged."""


def _again(kind: type[AurumError], args: tuple[object, ...]) -> AurumError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


def in_words(error: BaseException) -> str:
    """The kind of an error, whoever's it is, and what it says, as events, receipts and the audit log have it."""
    return redacted(f"{type(error).__name__}: {error}")


def listed(choices: Iterable[str], found: str) -> str:
    """The choices for a message, those nearest to what was found in front."""
    ordered = sorted(choices)
    near = get_close_matches(found, ordered)
    return ", ".join([*near, *(each for each in ordered if each not in near)])
