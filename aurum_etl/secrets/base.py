"""Which secrets there are, what each is for, where Vault has it by convention, and how a spec refers to one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from aurum_etl.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMS = "vault:PATH#FIELD, env:NAME or file:/PATH"
_FORM = re.compile(r"(?P<scheme>vault|env|file):(?P<path>[^#]+)(?:#(?P<field>[^#]+))?")


class Kind(StrEnum):
    """What a secret is a part of."""

    API_KEY = "api key"
    BASIC = "name and password"
    OAUTH_PASSWORD = "OAuth password flow"  # noqa: S105 - the name of a kind
    DSN = "dsn"
    KAFKA_SASL = "Kafka SASL"
    TLS_KEY = "TLS key"
    S3 = "S3"
    CATALOG_TOKEN = "catalog token"  # noqa: S105 - the name of a kind


@dataclass(frozen=True, slots=True)
class Named:
    """What is known of a secret without looking for it."""

    kind: Kind
    path: str
    """Where Vault has it by convention, under mount and prefix."""
    field: str
    """Its name there."""


SECRETS: Mapping[str, Named] = {
    "ERCOT_API_USERNAME": Named(Kind.OAUTH_PASSWORD, "iso/ercot", "username"),
    "ERCOT_API_PASSWORD": Named(Kind.OAUTH_PASSWORD, "iso/ercot", "password"),
    "ERCOT_PUBLIC_API_SUBSCRIPTION_KEY": Named(Kind.API_KEY, "iso/ercot", "subscription_key"),
    "ISONE_API_USERNAME": Named(Kind.BASIC, "iso/isone", "username"),
    "ISONE_API_PASSWORD": Named(Kind.BASIC, "iso/isone", "password"),
    "MISO_API_PRICING_SUBSCRIPTION_KEY": Named(Kind.API_KEY, "iso/miso", "pricing_key"),
    "MISO_API_LOAD_GENERATION_AND_INTERCHANGE_SUBSCRIPTION_KEY": Named(
        Kind.API_KEY, "iso/miso", "load_generation_and_interchange_key"
    ),
    "PJM_API_KEY": Named(Kind.API_KEY, "iso/pjm", "api_key"),
    "TIMESCALE_CONNECTION": Named(Kind.DSN, "timescale", "dsn"),
    "AURUM_ICEBERG_URI": Named(Kind.DSN, "iceberg", "uri"),
    "AURUM_ICEBERG_TOKEN": Named(Kind.CATALOG_TOKEN, "iceberg", "token"),
    "AURUM_ICEBERG_CREDENTIAL": Named(Kind.CATALOG_TOKEN, "iceberg", "credential"),
    "AWS_ACCESS_KEY_ID": Named(Kind.S3, "aws", "access_key_id"),
    "AWS_SECRET_ACCESS_KEY": Named(Kind.S3, "aws", "secret_access_key"),
    "AWS_SESSION_TOKEN": Named(Kind.S3, "aws", "session_token"),
    "KAFKA_SASL_USERNAME": Named(Kind.KAFKA_SASL, "kafka", "username"),
    "KAFKA_SASL_PASSWORD": Named(Kind.KAFKA_SASL, "kafka", "password"),
    "KAFKA_SSL_KEY_PASSWORD": Named(Kind.TLS_KEY, "kafka", "ssl_key_password"),
    "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": Named(Kind.BASIC, "registry", "user_info"),
}
"""By the variable that holds it where it is in the environment, which is its name everywhere."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a spec says that a secret is."""

    scheme: str
    """`vault`, `env` or `file`."""
    path: str
    """In Vault under mount and prefix, or with a slash in front from the mount on; a variable; a file or a folder of them."""
    field: str = ""
    """Which of the secret's fields; empty is the one that convention names."""
    shared: bool = False
    """Whether it was said of several secrets at once, of which some may be elsewhere."""

    def __str__(self) -> str:
        return f"{self.scheme}:{self.path}" + (f"#{self.field}" if self.field else "")

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The reference in the text.

        Raises: ValueError if it is none; the text is not repeated, since it may be the secret itself.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"is not of the form {FORMS}; a secret itself never stands here")
        scheme, path, field = found["scheme"], found["path"], found["field"] or ""
        if scheme != "vault" and field:
            raise ValueError(f"{scheme}: has no #field; a folder's files are its fields")
        if scheme == "env" and not re.fullmatch(r"[A-Za-z_]\w*", path):
            raise ValueError("env: is followed by the name of a variable, such as env:PJM_API_KEY")
        if scheme == "file" and not path.startswith("/"):
            raise ValueError("file: is followed by a path from the root on, such as file:/run/secrets/pjm")
        return cls(scheme, path, field)


def with_login(name: str, dsn: str, username: str, password: str) -> str:
    """A database's address, as a URI or as `key=value` words, with that user and password in place of its own.

    Raises: SecretError if it is no address.
    """
    if "://" not in dsn:
        if dsn and "=" not in dsn:
            raise SecretError(f"{name}: is neither postgresql://host:port/database nor words such as host=… dbname=…")
        # Of a word that stands twice, libpq takes the last.
        return f"{dsn} user={_word(username)} password={_word(password)}".strip()
    try:
        parts = urlsplit(dsn)
    except ValueError as error:
        raise SecretError(f"{name}: is no address of the form postgresql://host:port/database") from error
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(username, safe='')}:{quote(password, safe='')}@{host}"))


def _word(text: str) -> str:
    """A value as libpq's words have it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
