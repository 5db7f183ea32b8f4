"""The token endpoint, and whether a token is one of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aurum_etl.simulator.ercot import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aurum_etl.simulator.base import Answer, Asked

USERNAME, PASSWORD, KEY = "ERCOT_API_USERNAME", "ERCOT_API_PASSWORD", "ERCOT_PUBLIC_API_SUBSCRIPTION_KEY"
_CLIENT = "fec253ea-0d06-4272-a5e6-b478baeecd70"
"""ERCOT's own, the same for everybody."""
_PATH = "/ercotb2c.onmicrosoft.com/B2C_1_PUBAPI-ROPC-FLOW/oauth2/v2.0/token"
_LIFE = timedelta(hours=1)
_SECRET = b"simulated"
_EPOCH = datetime.fromisoformat("1970-01-01")


def token_answer(asked: Asked, now: datetime, credentials: Mapping[str, str]) -> Answer:
    """Tokens for the right user, and the error object of OAuth for others."""
    if not _PATH.endswith(asked.path):
        return wire.gateway_refusal(404)
    if asked.method != "POST":
        return _refusal("invalid_request", "AADB2C90055: The request has to be posted.")
    form = {**asked.query, **dict(parse_qsl(asked.body.decode("utf-8", "replace"), keep_blank_values=True))}
    if form.get("grant_type") != "password":
        return _refusal("unsupported_grant_type", "AADB2C90086: The supplied grant_type is not supported.")
    if form.get("client_id") != _CLIENT or "openid" not in form.get("scope", "").split():
        return _refusal("invalid_request", "AADB2C90018: The client or the scope of the request is not known.")
    if (form.get("username"), form.get("password")) != (credentials[USERNAME], credentials[PASSWORD]):
        return _refusal("access_denied", "AADB2C90225: The username or password provided in the request are invalid.")
    kinds = form.get("response_type", "id_token").split()
    answer = {
        "access_token": _token("access", now),
        "token_type": "Bearer",
        "expires_in": "3600",
        "refresh_token": _token("refresh", now),
        **({"id_token": _token("id", now)} if "id_token" in kinds else {}),
    }
    return wire.as_json(answer, headers={"Cache-Control": "no-store, must-revalidate, no-cache"})


def refusal(
    headers: Mapping[str, str], query: Mapping[str, str], now: datetime, credentials: Mapping[str, str]
) -> Answer | None:
    """Why the API does not answer, if it does not: both the key and a token that is not an hour old are needed."""
    key = headers.get("ocp-apim-subscription-key", query.get("subscription-key"))
    if key is None:
        return wire.gateway_refusal(
            401,
            "Access denied due to missing subscription key."
            " Make sure to include subscription key when making requests to an API.",
        )
    if key != credentials[KEY]:
        return wire.gateway_refusal(
            401,
            "Access denied due to invalid subscription key."
            " Make sure to provide a valid key for an active subscription.",
        )
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not _is_valid(token, now):
        return wire.gateway_refusal(401, "Unauthorized. Access token is missing or invalid.")
    return None


def _token(kind: str, now: datetime) -> str:
    """Three parts like those of any token; the last one signs the others."""
    issued = (now - _EPOCH) // timedelta(seconds=1)
    parts = [
        {"alg": "HS256", "typ": "JWT"},
        {"kind": kind, "aud": _CLIENT, "iat": issued, "exp": issued + _LIFE // timedelta(seconds=1)},
    ]
    text = ".".join(_encoded(json.dumps(each).encode()) for each in parts)
    return f"{text}.{_signature(text)}"


def _is_valid(token: str, now: datetime) -> bool:
    text, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_signature(text).encode(), signature.encode()):
        return False
    payload = text.partition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return bool(claims["kind"] == "id" and now < _EPOCH + timedelta(seconds=claims["exp"]))


def _signature(text: str) -> str:
    return _encoded(hmac.digest(_SECRET, text.encode("utf-8", "replace"), hashlib.sha256))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _refusal(error: str, description: str) -> Answer:
    return wire.as_json({"error": error, "error_description": f"{description}\r\n"}, 400)
