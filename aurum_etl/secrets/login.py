"""Who asks: a token, for how long it lasts, and how another is had when it has ended."""

from __future__ import annotations

import copy
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aurum_etl.errors import SecretError, VaultUnavailable
from aurum_etl.redaction import know
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.secrets.access import VaultAccess
    from aurum_etl.secrets.wire import Answer, Wire

PAUSE_SECONDS = 5.0
"""For so long, what just failed and can be done without is not tried again."""
_REFUSED_SECONDS = 10.0
"""For so long, a refused login is not tried again: Vault locks out who insists."""
GAIN_SECONDS = 1.0
"""A renewal that brings no more than this has met the end that Vault sets; it counts in whole seconds."""


@dataclass(slots=True, eq=False)
class Grant:
    """A token, and what Vault said about it. What was leased to it ends with it."""

    token: str = field(repr=False)
    name: str
    """What it is for people: `VAULT_TOKEN`."""
    seconds: float
    """How long it lasts after each renewal."""
    until: float
    """When it ends, by the clock of who asks; infinite for one that lasts."""
    is_renewable: bool
    rests_until: float = -math.inf
    """Nothing is done about its end before that."""


class Login:
    """The token to ask with, for all threads: kept alive, and replaced in time by another where there is a login."""

    def __init__(self, access: VaultAccess, wire: Wire, clock: Callable[[], float]) -> None:
        self._access = access
        self._wire = wire
        self._clock = clock
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._refusal: SecretError | None = None
        self._refused_until = -math.inf

    def grant(self) -> Grant:
        """What to ask with now; Vault is asked for it only where there is none, or it has less than a third left.

        Raises: SecretError if there is nothing to log in with, or it is refused; VaultUnavailable if nobody could be asked.
        """
        with self._lock:
            now = self._clock()
            if self._grant is None:
                self._grant = self._given() if self._access.token else self._logged_in()
            elif now >= self._grant.until:
                self._grant = self._after()
            elif self.is_due(self._grant, now):
                self._grant = self._prolonged(self._grant, now)
            return self._grant

    def is_due(self, grant: Grant, now: float) -> bool:
        """Whether its end is near, and something can be done about it."""
        can_do = grant.is_renewable or self._access.can_log_in
        return can_do and now >= grant.rests_until and grant.until - now < grant.seconds / 3

    def has_ended(self, grant: Grant) -> bool:
        """Whether Vault knows nothing of it any more: then a refusal says nothing about rights."""
        with self._lock:
            if grant is not self._grant:
                return True
            answer = self._looked_at(grant.token)
            if answer.status == 200 or answer.is_about_rights:
                return False
            grant.until = -math.inf
            return True

    def _given(self) -> Grant:
        """The token that was given, with what Vault says about it."""
        token = self._access.token.strip()
        know(token)
        now = self._clock()
        answer = self._looked_at(token)
        told = answer.body.get("data") or {}
        if answer.is_about_rights:
            # It may not look at itself: its end will be seen when it comes.
            return Grant(token, "VAULT_TOKEN", math.inf, math.inf, is_renewable=False)
        if answer.status != 200:
            return self._after(answer)
        left = float(told.get("ttl") or 0)
        seconds = float(told.get("period") or told.get("creation_ttl") or left)
        is_endless = told.get("expire_time") is None and not left
        until = math.inf if is_endless else now + left
        return Grant(token, "VAULT_TOKEN", seconds, until, is_renewable=bool(told.get("renewable")))

    def _looked_at(self, token: str) -> Answer:
        return self._wire.ask(token, lambda client: client.auth.token.lookup_self())

    def _after(self, told: Answer | None = None) -> Grant:
        """What to ask with once a token has ended."""
        if self._access.can_log_in:
            return self._logged_in()
        words = f" ({told.words})" if told is not None else ""
        raise SecretError(
            f"Vault at {self._access.place} does not accept VAULT_TOKEN{words}: it has ended, was revoked, or is another "
            "Vault's or namespace's: set it to a new token"
        )

    def _prolonged(self, grant: Grant, now: float) -> Grant:
        """The same for longer, or a new one; the same as it is where neither can be had now."""
        try:
            if grant.is_renewable and self._renewed(grant):
                return grant
            if self._access.can_log_in:
                return self._logged_in()
        except VaultUnavailable as error:
            self._wire.gone_by("auth/token/renew-self", error)
        except SecretError as error:
            logger().warning("vault.login_refused", reason=str(error), used=f"what is left of {grant.name}")
        grant.rests_until = now + PAUSE_SECONDS
        return grant

    def _renewed(self, grant: Grant) -> bool:
        """Whether it lasts longer now."""
        now = self._clock()
        answer = self._wire.ask(grant.token, lambda client: client.auth.token.renew_self())
        told = answer.body.get("auth") or {}
        seconds = float(told.get("lease_duration") or 0)
        if answer.status != 200 or now + seconds < grant.until + GAIN_SECONDS:
            grant.is_renewable = False
            return False
        grant.seconds, grant.until = seconds, now + seconds
        grant.is_renewable = bool(told.get("renewable"))
        return True

    def _logged_in(self) -> Grant:
        now = self._clock()
        if self._refusal is not None and now < self._refused_until:
            raise copy.copy(self._refusal) from self._refusal
        try:
            if self._access.role_id:
                return self._by_approle(now)
            if self._access.kubernetes_role:
                return self._by_kubernetes(now)
        except VaultUnavailable:
            raise
        except SecretError as error:
            self._refusal, self._refused_until = error, now + _REFUSED_SECONDS
            raise
        raise SecretError(
            f"Vault at {self._access.place}: nothing proves who asks: set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, "
            "or VAULT_KUBERNETES_ROLE"
        )

    def _by_approle(self, now: float) -> Grant:
        access = self._access
        know(access.secret_id)
        answer = self._wire.ask(
            "",
            lambda client: client.auth.approle.login(
                access.role_id, access.secret_id or None, use_token=False, mount_point=access.approle_mount
            ),
        )
        return self._of(
            answer,
            now,
            f"AppRole login at auth/{access.approle_mount}",
            "check VAULT_ROLE_ID, VAULT_SECRET_ID (one has an end, and a number of uses), VAULT_APPROLE_MOUNT and "
            "VAULT_NAMESPACE",
        )

    def _by_kubernetes(self, now: float) -> Grant:
        access = self._access
        try:
            jwt = access.kubernetes_token_path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SecretError(
                f"VAULT_KUBERNETES_TOKEN_PATH: {access.kubernetes_token_path} cannot be read "
                f"({getattr(error, 'strerror', None) or 'not text'}): it is the file of a pod's service account token"
            ) from error
        know(jwt)
        answer = self._wire.ask(
            "",
            lambda client: client.auth.kubernetes.login(
                access.kubernetes_role, jwt, use_token=False, mount_point=access.kubernetes_mount
            ),
        )
        return self._of(
            answer,
            now,
            f'Kubernetes login of role "{access.kubernetes_role}" at auth/{access.kubernetes_mount}',
            "check VAULT_KUBERNETES_ROLE, what service accounts and namespaces the role is bound to, VAULT_KUBERNETES_MOUNT "
            "and VAULT_NAMESPACE",
        )

    def _of(self, answer: Answer, now: float, name: str, what_to_do: str) -> Grant:
        """The grant that a login gave."""
        told: Mapping[str, Any] = answer.body.get("auth") or {}
        token = told.get("client_token")
        if not token:
            words = answer.words or f"status {answer.status}, and no token"
            raise SecretError(f"Vault at {self._access.place} refuses the {name} ({words}): {what_to_do}")
        know(token)
        seconds = float(told.get("lease_duration") or 0)
        logger().info("vault.login", login=name, seconds=seconds)
        until = now + seconds if seconds else math.inf
        return Grant(token, f"the {name}", seconds, until, is_renewable=bool(told.get("renewable")))
