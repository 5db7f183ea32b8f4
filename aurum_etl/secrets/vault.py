"""Secrets out of a Vault or OpenBao, for a run of hours: asked seldom, kept alive, and gone by for a while when it is down.

- **Static secrets** (KV) are gone by for `cache_seconds`, then asked for again; that there is nothing, for less.
- **Dynamic secrets** (database, …) live by their lease: with less than half left it is renewed at the next use, and where
  that is at its end, another secret is asked for. A lease ends with the token that it was given to.
- **A token** with less than a third left is renewed at the next use, or replaced by a new login.
- **Vault is down, or sealed**: what has not passed its time is used, with a warning; beyond that it is an error.
"""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from aurum_etl.errors import SecretDenied, SecretError, VaultUnavailable
from aurum_etl.redaction import know
from aurum_etl.secrets.access import VaultAccess
from aurum_etl.secrets.login import GAIN_SECONDS, PAUSE_SECONDS, Grant, Login
from aurum_etl.secrets.mounts import Mounts, data_of, fields_of, good_for, texts_in
from aurum_etl.secrets.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Vault", "VaultAccess"]

_NOTHING_SECONDS = 30.0
"""How long it is gone by, at most, that nothing is there, or that it may not be read."""


@dataclass(frozen=True, slots=True)
class _Lease:
    """Until when a dynamic secret is good."""

    id: str
    seconds: float
    """How long, after its last renewal."""
    is_renewable: bool
    grant: Grant
    """Whom it was given to, and ends with."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What Vault said about a path."""

    fields: Mapping[str, str] | None = field(repr=False)
    ends: float
    """By the clock; it is not gone by from then on."""
    forgotten: int
    """How often the path had been forgotten when this was asked for."""
    lease: _Lease | None = None

    @property
    def until(self) -> float:
        return self.ends if self.lease is None else min(self.ends, self.lease.grant.until)

    def is_due(self, now: float) -> bool:
        """Whether less than half of a lease is left."""
        return self.lease is not None and self.ends - now < self.lease.seconds / 2


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why Vault said nothing about a path."""

    error: SecretError
    until: float
    """It is not asked again before then."""
    forgotten: int


@dataclass(slots=True, eq=False)
class _Place:
    """What is known of a path."""

    full: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by the one that asks."""
    forgotten: int = 0
    asked: int = 0
    """How many questions have come to an end."""
    held: _Held | None = None
    failure: _Failure | None = None


class Vault:
    """Reads what a Vault holds, for all threads; nothing is sent before the first `read`."""

    def __init__(self, access: VaultAccess, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._clock = clock
        self._wire = Wire(access)
        self._login = Login(access, self._wire, clock)
        self._mounts = Mounts(access, self._wire)
        self._places: dict[str, _Place] = {}

    def read(self, path: str) -> Mapping[str, str] | None:
        """The fields of what is at the path: `iso/pjm` under mount and prefix; with a leading slash (`/database/creds/loader`)
        from the mount on. None if nothing is there.

        Raises: SecretDenied if it may not be read; SecretError if Vault does not accept who asks, or the path; VaultUnavailable
                if it cannot be asked, and what it said last is too old.
        """
        place = self._place(path)
        asked = place.asked
        if (held := self._good(place)) is not None:
            return held.fields
        with place.lock:
            if (held := self._good(place)) is not None:
                return held.fields
            failure = place.failure
            if failure is not None and place.asked > asked and failure.forgotten == place.forgotten:
                # It came while waiting for another's question: the same one need not fail once more.
                raise copy.copy(failure.error) from failure.error
            return self._asked(place).fields

    def log_in(self) -> str:
        """Prove who asks, and tell by what.

        Raises: SecretError if Vault does not accept it; VaultUnavailable if it cannot be asked.
        """
        return self._login.grant().name

    def forget(self, path: str) -> None:
        """The next `read` asks Vault, whatever is known; what is, is still used if Vault is down and its time is not over."""
        self._place(path).forgotten += 1

    def full_path(self, path: str) -> str:
        """The path for people, from the mount on: `secret/aurum/iso/pjm`."""
        parts = (path,) if path.startswith("/") else (self._access.mount, self._access.prefix, path)
        return "/".join(part for part in (each.strip("/") for each in parts) if part)

    def close(self) -> None:
        """Let go of connections; leases and tokens end by themselves, for somebody may be using them."""
        self._wire.close()

    def _place(self, path: str) -> _Place:
        full = self.full_path(path)
        if {"", ".", ".."} & set(full.split("/")) or "/" not in full:
            raise SecretError(
                f'"{path}" is no path of a secret in Vault; one is "iso/pjm", or "/database/creds/loader" from its mount on'
            )
        return self._places.setdefault(full, _Place(full))

    def _good(self, place: _Place) -> _Held | None:
        """What may be gone by without a question; None if there has to be one.

        Raises: the failure that is to be gone by.
        """
        now, held, failure = self._clock(), place.held, place.failure
        if failure is not None and (failure.forgotten != place.forgotten or now >= failure.until):
            failure = None
        if held is not None and now < held.until:
            if failure is not None:
                return held
            is_old = held.forgotten != place.forgotten or held.is_due(now)
            # What is leased ends with its token: that is kept alive, too.
            if not is_old and (held.lease is None or not self._login.is_due(held.lease.grant, now)):
                return held
        elif failure is not None:
            raise copy.copy(failure.error) from failure.error
        return None

    def _asked(self, place: _Place) -> _Held:
        """What Vault says about it now; what it said before, if it cannot say anything."""
        forgotten, held = place.forgotten, place.held
        try:
            held = self._prolonged(place) or self._fresh(place.full, forgotten)
            place.failure = None
        except VaultUnavailable as error:
            now = self._clock()
            if held is None or now >= held.until:
                place.failure = _Failure(error, now, forgotten)
                raise
            place.failure = _Failure(error, now + PAUSE_SECONDS, forgotten)
            self._wire.gone_by(place.full, error)
        except SecretError as error:
            is_denied = isinstance(error, SecretDenied)
            place.failure = _Failure(error, self._clock() + (self._nothing_seconds if is_denied else 0.0), forgotten)
            held = None
            raise
        finally:
            place.held = held
            place.asked += 1
        return held

    def _prolonged(self, place: _Place) -> _Held | None:
        """What is leased, for longer; None if another has to be asked for."""
        grant, held = self._login.grant(), place.held
        now = self._clock()
        if held is None or held.lease is None or held.forgotten != place.forgotten or now >= held.until:
            return None
        lease = held.lease
        if lease.grant is not grant:
            return None
        if not held.is_due(now):
            # It was about the token alone.
            return held
        if not lease.is_renewable:
            return None
        answer = self._wire.ask(grant.token, lambda client: client.sys.renew_lease(lease.id))
        seconds = float(answer.body.get("lease_duration") or 0)
        if answer.status != 200 or now + seconds < held.ends + GAIN_SECONDS:
            return None
        renewed = replace(lease, seconds=seconds, is_renewable=bool(answer.body.get("renewable")))
        return replace(held, ends=now + seconds, lease=renewed)

    def _fresh(self, full: str, forgotten: int) -> _Held:
        """What is there."""
        grant = self._login.grant()
        held = self._read(full, forgotten, grant)
        if isinstance(held, _Held):
            return held
        if self._login.has_ended(grant):
            grant = self._login.grant()
            held = self._read(full, forgotten, grant)
            if isinstance(held, _Held):
                return held
        raise SecretDenied(
            f'{full}: Vault does not let {grant.name} see it: a policy must allow "read" on "{held}", and another name for the '
            "mount is AURUM_VAULT_MOUNT"
        )

    def _read(self, full: str, forgotten: int, grant: Grant) -> _Held | str:
        """What is there; what a policy would have to allow, if Vault refuses."""
        now = self._clock()
        mount = self._mounts.of(full, grant.token)
        answer = self._mounts.read(full, mount, grant.token)
        if answer.status == 403:
            return mount.asked(full)
        data = data_of(answer, full, mount)
        if data is None:
            # Perhaps the mount has become another kind.
            self._mounts.forget(mount)
            return _Held(None, now + self._nothing_seconds, forgotten)
        fields = MappingProxyType(fields_of(data))
        # A flag is no secret, and a word that stands everywhere.
        know(*texts_in(data), *(text for name, text in fields.items() if not isinstance(data[name], bool)))
        if lease_id := answer.body.get("lease_id"):
            seconds = float(answer.body.get("lease_duration") or 0)
            lease = _Lease(lease_id, seconds, bool(answer.body.get("renewable")), grant)
            return _Held(fields, now + seconds, forgotten, lease)
        return _Held(fields, now + min(self._access.cache_seconds, good_for(answer, data, mount)), forgotten)

    @property
    def _nothing_seconds(self) -> float:
        return min(_NOTHING_SECONDS, self._access.cache_seconds / 2)
