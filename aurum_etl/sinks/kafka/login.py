"""Who we are to brokers and registry: what the secrets are now, and past what is cached where they refuse us.

librdkafka takes a refusal for a broker that is slow: it tries again with the same password until the time is over, and tells
its callback alone. Here a refusal ends a question at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aurum_etl.secrets import forget
from aurum_etl.secrets.refusal import once_more_if_refused
from aurum_etl.sinks.kafka.topics import SECONDS, client_settings, registry_client
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import KafkaError

    from aurum_etl.settings import Settings

_BROKERS = ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")
_REGISTRY = "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"
_REFUSED = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"})
_NOT_YET = frozenset({"_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN"})
_GLANCE_SECONDS = 0.5
"""How long a question is asked before somebody looks whether it was refused."""


class _Client(Protocol):
    """What all clients of librdkafka have."""

    def poll(self, timeout: float) -> object:
        """Hear what is new."""

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Show these from now on, where a connection is made or has to be proved again."""


C = TypeVar("C", bound=_Client)
T = TypeVar("T")


class Login:
    """Whom a client says that it is: what it was made with, and what the secrets are by now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shown: tuple[str | None, str | None] = (None, None)
        self._refusal: KafkaError | None = None

    def introduced(
        self, make: Callable[[dict[str, Any]], C], ask: Callable[[C, float], T], seconds: float = SECONDS
    ) -> tuple[C, T]:
        """A new client, and the answer to its first question; `make` makes it of what it is to be set to.

        Raises: KafkaException if there is no answer within that time, or the brokers refuse who asks.
        """

        def attempt(brokers: Mapping[str, str]) -> tuple[C, T]:
            client = make(self._with_callback(brokers))
            return client, self._answer(client, ask, seconds)

        return once_more_if_refused(attempt, lambda: self._settings.kafka, self._forget, _is_refusal)

    def client_settings(self) -> dict[str, Any]:
        """What a client is made with that is asked nothing yet."""
        return self._with_callback(self._settings.kafka)

    def renew(self, client: _Client) -> None:
        """Let a client that lives long show what the secrets are now.

        Raises: SecretError if nobody can tell.
        """
        user, password = login = _login_of(self._settings.kafka)
        if login != self._shown and user and password:
            client.set_sasl_credentials(user, password)
            self._shown = login
            logger().info("kafka.login_renewed")

    def _with_callback(self, brokers: Mapping[str, str]) -> dict[str, Any]:
        self._shown, self._refusal = _login_of(brokers), None
        return {**client_settings(brokers), "error_cb": self._hear}

    def _hear(self, error: KafkaError) -> None:
        """The client tries again by itself: with another password, if the secrets have one past what is cached."""
        if error.name() in _REFUSED:
            self._refusal = error
            self._forget()
            logger().warning("kafka.refused", error=error.str())

    def _forget(self) -> None:
        forget(self._settings.secrets, *_BROKERS)

    def _answer(self, client: C, ask: Callable[[C, float], T], seconds: float) -> T:
        """The answer, asked for in short pieces where somebody could refuse who asks."""
        from confluent_kafka import KafkaException

        if self._shown == (None, None):
            return ask(client, seconds)
        ends = time.monotonic() + seconds
        while True:
            left = ends - time.monotonic()
            try:
                return ask(client, min(_GLANCE_SECONDS, max(left, 0.0)))
            except KafkaException as error:
                client.poll(0)
                if self._refusal is not None:
                    raise KafkaException(self._refusal) from error
                reason: KafkaError = error.args[0]
                if left <= _GLANCE_SECONDS or not (reason.retriable() or reason.name() in _NOT_YET):
                    raise


def _is_refusal(error: Exception) -> bool:
    from confluent_kafka import KafkaException

    return isinstance(error, KafkaException) and error.args[0].name() in _REFUSED


def _login_of(brokers: Mapping[str, str]) -> tuple[str | None, str | None]:
    return brokers.get("sasl.username"), brokers.get("sasl.password")


def asked_of_registry(settings: Settings, ask: Callable[[Any], T], **options: float) -> T:
    """What comes of asking the schema registry, by a client of it that is made with these options as well.

    Raises: SchemaRegistryError; what its HTTP client raises.
    """

    def attempt(registry: Mapping[str, str]) -> T:
        with registry_client({**registry, **options}) as client:
            return ask(client)

    return once_more_if_refused(
        attempt,
        lambda: settings.registry,
        lambda: forget(settings.secrets, _REGISTRY),
        lambda error: getattr(error, "http_status_code", None) in (401, 403),
    )
