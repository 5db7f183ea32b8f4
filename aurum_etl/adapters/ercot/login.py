"""The proof of who asks the public API: a token of an hour, and a key beside it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx

from aurum_etl.adapters.access import HEADER
from aurum_etl.download import GatedAuth
from aurum_etl.errors import AccessDenied, SourceChanged, SourceUnavailable, SourceUnreachable
from aurum_etl.redaction import address_of, know, start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

USERNAME, PASSWORD, KEY = CREDENTIALS = (
    "ERCOT_API_USERNAME",
    "ERCOT_API_PASSWORD",
    "ERCOT_PUBLIC_API_SUBSCRIPTION_KEY",
)
_PATH = "oauth2/v2.0/token"
_CLIENT = "fec253ea-0d06-4272-a5e6-b478baeecd70"
"""ERCOT's own, the same for everybody."""
_LIFE_SECONDS = 3600.0
_EARLY_SECONDS = 300.0
"""How long before its end a token is renewed: an answer of a hundred thousand rows takes its time."""
_TIMEOUT_SECONDS = 30.0


class Login(GatedAuth):
    """An id token, fetched with name and password and renewed before its hour is over, and the subscription key.

    A token that is refused is renewed for another try: the clocks of both sides may differ, and the service may forget.
    """

    def __init__(
        self,
        base: str,
        host: str,
        variable: str,
        credentials: Mapping[str, str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = base
        self._host = host
        self._variable = variable
        super().__init__(credentials, CREDENTIALS)
        self._now = now
        self._token = ""
        self._renew_at = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """The request with token and key.

        Raises: AccessDenied if name or password are wrong; SourceUnavailable if there is no token to be had now.
        """
        if not self._token or self._now() >= self._renew_at:
            self._fetch()
        response = yield self._signed(request)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._token, self._shown.was_refused = "", True

    def renewed(self) -> bool:
        """See `Proof.renewed`; a new token is another proof as well."""
        was_refused = getattr(self._shown, "was_refused", False)
        self._shown.was_refused = False
        return super().renewed() or was_refused

    def _signed(self, request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {self._token}"
        _, _, request.headers[HEADER] = self.secrets()
        return request

    def _fetch(self) -> None:
        """A new token. What is sent and what comes are secrets, so that nothing of them is logged or archived."""
        self._token = ""
        username, password, _ = self.secrets()
        form = {
            "grant_type": "password",
            "username": username,
            "password": password,
            "response_type": "id_token",
            "scope": f"openid {_CLIENT} offline_access",
            "client_id": _CLIENT,
        }
        try:
            url = f"{self._base}/{_PATH}"
            with self.gate(self._host, url) as came:
                response = httpx.post(url, data=form, timeout=_TIMEOUT_SECONDS)
                came(response.status_code)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError) as error:
            raise SourceUnreachable(
                f"ERCOT's login cannot be reached at {address_of(self._base)} ({error}): check the network or HTTPS_PROXY, "
                f"point {self._variable} at another address, or try the simulator with --sim"
            ) from error
        except httpx.InvalidURL as error:
            raise SourceChanged(f"{self._variable}: {address_of(self._base)} is not an address: {error}") from error
        except httpx.HTTPError as error:
            raise SourceUnavailable(f"ERCOT's login: {type(error).__name__}") from error
        token, life_seconds = self._granted(response)
        know(token)
        self._token = token
        self._renew_at = self._now() + max(life_seconds - _EARLY_SECONDS, life_seconds / 2)

    def _granted(self, response: httpx.Response) -> tuple[str, float]:
        """The token of the answer, and for how many seconds it is good."""
        try:
            told = response.json()
        except ValueError:
            told = {}
        told = told if isinstance(told, dict) else {}
        status = response.status_code
        if status == httpx.codes.OK and isinstance(told.get("id_token"), str):
            return told["id_token"], _seconds(told.get("expires_in"))
        words = start_of(" ".join(f"{told.get('error', '')} {told.get('error_description', '')}".split()), 300)
        message = f"ERCOT's login: status {status}" + (f": {words}" if words else "")
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise AccessDenied(
                f"{message}: {USERNAME} and {PASSWORD} hold what https://apiexplorer.ercot.com knows you by"
            )
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise SourceUnavailable(message)
        raise SourceChanged(f"{message}: expected id_token; found {', '.join(map(str, told)) or 'no json object'}")


def _seconds(text: object) -> float:
    """Numbers and their texts; the documented hour where there is neither."""
    try:
        seconds = float(str(text))
    except ValueError:
        return _LIFE_SECONDS
    return seconds if 0 < seconds <= _LIFE_SECONDS else _LIFE_SECONDS
