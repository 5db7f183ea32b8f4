"""What is said to Vault, and its answers: hvac knows the words, what fails becomes an error of ours here and nowhere else."""

from __future__ import annotations

import json
import re
import threading
import warnings
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aurum_etl.errors import SecretError, VaultUnavailable
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.secrets.access import VaultAccess

_TIMEOUT = (3.0, 8.0)
"""Seconds for a connection, and for an answer."""
_ATTEMPTS = 4
_PASSING = frozenset({412, 429, 500, 502, 503, 504})
"""Statuses that the next moment may not have: 412 is a node of a cluster that has not heard of the token yet."""
_SEALED = "sealed"
_BECOMING_KV_2 = "non-versioned to versioned data"
"""In what a mount of KV's second version says, with a 400, for a moment after it was made or opened."""
_TOKEN = re.compile(r"[!-~]*")
_LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What Vault said."""

    status: int
    body: Mapping[str, Any] = field(repr=False)

    @property
    def words(self) -> str:
        """What it complains about, in one line."""
        text = re.sub(r"\d+ errors? occurred:", " ", "; ".join(map(str, self.body.get("errors") or ())))
        return "; ".join(filter(None, (each.strip(" ;") for each in " ".join(text.split()).split("* "))))[
            :_LONGEST_WORDS
        ]

    @property
    def is_about_rights(self) -> bool:
        """Whether it knows the token, and a policy refuses.

        Source: `checkToken` of Vault and OpenBao: what policies refuse is a list of one, an unknown token is not.
        """
        errors = self.body.get("errors") or ("",)
        return self.status == 403 and str(errors[0]).startswith("1 error occurred:")


class Wire:
    """A connection to one Vault, for all threads; nothing is sent before something is asked."""

    def __init__(self, access: VaultAccess) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._session: Any = None
        self._is_out = False

    def ask(self, token: str, call: Callable[[Any], Any]) -> Answer:
        """What Vault answers to what `call` does with a client of hvac that shows this token; whatever the status, refusals
        included. What is likely to pass by itself is tried again, for a second or two.

        Raises: VaultUnavailable if it cannot answer now; SecretError if what is there is no Vault.
        """
        import hvac
        from hvac.adapters import RawAdapter

        if not _TOKEN.fullmatch(token):
            # The library would repeat it in its complaint.
            raise SecretError("VAULT_TOKEN has characters that no token has: set it to the token alone")
        client = hvac.Client(
            self._access.address,
            token=token,
            # None would be what the environment says, which is read elsewhere.
            cert=self._access.client_certificate or (),
            verify=self._verify,
            timeout=_TIMEOUT,
            session=self._opened(),
            namespace=self._access.namespace or None,
            adapter=RawAdapter,
            ignore_exceptions=True,
        )
        answer = self._understood(self._sent(lambda: call(client)))
        self._is_out = False
        return answer

    def gone_by(self, path: str, error: Exception) -> None:
        """Tell that what Vault said before is gone by since it does not answer now: once, until it answers again."""
        if not self._is_out:
            self._is_out = True
            logger().warning("vault.unavailable", path=path, reason=str(error), used="what it said before")

    def close(self) -> None:
        """Let go of connections; the next question opens them again."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    @property
    def _verify(self) -> str | bool:
        return self._access.verify and (self._access.ca or True)

    def _opened(self) -> Any:
        import requests

        with self._lock:
            if self._session is None:
                self._session = requests.Session()
                self._session.verify = self._verify
                self._session.cert = self._access.client_certificate
                self._session.hooks["response"].append(_demand_no_step_down)
                # Who finds no connection free waits for one, where the library would make another and complain.
                self._session.mount(self._access.address, requests.adapters.HTTPAdapter(pool_block=True))
                if not self._access.verify:
                    # Said once here, rather than by the library at each request.
                    host = re.escape(str(urlsplit(self._access.address).hostname))
                    warnings.filterwarnings("ignore", f"Unverified HTTPS request is being made to host '{host}'")
                    logger().warning("vault.unverified", address=self._access.place, because="VAULT_SKIP_VERIFY is set")
            return self._session

    def _sent(self, send: Callable[[], Any]) -> Any:
        """The response.

        Raises: VaultUnavailable if there is none; SecretError if there cannot be any.
        """
        import requests
        import tenacity

        place = self._access.place
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_cut_off) | tenacity.retry_if_result(_is_passing),
            wait=tenacity.wait_exponential(multiplier=0.1, max=1.0) + tenacity.wait_random(0.0, 0.1),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            retry_error_callback=_last_outcome,
        )
        try:
            return retrying(send)
        except requests.exceptions.SSLError as error:
            raise VaultUnavailable(
                f"Vault at {place}: TLS with it fails ({_reason(error)}): VAULT_CACERT names the file of who vouches for it; "
                "where it speaks no TLS, VAULT_ADDR begins with http://"
            ) from error
        except requests.Timeout as error:
            raise VaultUnavailable(
                f"Vault at {place} does not answer in time: see whether it is well, and whether VAULT_ADDR is its address"
            ) from error
        except requests.ConnectionError as error:
            raise VaultUnavailable(
                f"Vault at {place} cannot be reached ({_reason(error)}): check that it runs, and where VAULT_ADDR points"
            ) from error
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise VaultUnavailable(f"Vault at {place} breaks off in the middle of its answers: try again") from error
        except requests.RequestException as error:
            raise SecretError(
                f"VAULT_ADDR: nothing can be asked at {place} ({type(error).__name__}); it is an address such as "
                "https://vault.example.com:8200"
            ) from error
        except OSError as error:
            raise SecretError(f"VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT or VAULT_CLIENT_KEY: {error}") from error

    def _understood(self, response: Any) -> Answer:
        place, status = self._access.place, response.status_code
        answer = Answer(status, _body(response))
        if status in _PASSING or status > 500 or _BECOMING_KV_2 in answer.words:
            if _SEALED in answer.words.lower():
                raise VaultUnavailable(
                    f"Vault at {place} is sealed: `vault operator unseal`, or see why its automatic unseal does not"
                )
            raise VaultUnavailable(
                f"Vault at {place} cannot answer now, status {status} ({answer.words or 'without a word'}): see its log"
            )
        if status != 204 and not answer.body.keys() & {"errors", "data", "auth"}:
            raise SecretError(
                f"what answers at {place} with status {status} is no Vault: check where VAULT_ADDR points"
            )
        return answer


def _body(response: Any) -> Mapping[str, Any]:
    """The document; empty if it is none. Numbers with a point keep their digits: they may be passwords."""
    try:
        found = json.loads(response.content, parse_float=Decimal)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_cut_off(error: BaseException) -> bool:
    """Whether somebody had taken the connection, and then let go of it."""
    import requests
    from urllib3.exceptions import ProtocolError

    return isinstance(error, requests.ConnectionError) and bool(error.args) and isinstance(error.args[0], ProtocolError)


def _is_passing(response: Any) -> bool:
    """Whether the answer may be another one in a moment: a seal stays until somebody comes."""
    if response.status_code == 400:
        return _BECOMING_KV_2 in response.text
    return response.status_code in _PASSING and _SEALED not in response.text.lower()


def _last_outcome(state: Any) -> Any:
    return state.outcome.result()


def _reason(error: BaseException) -> str:
    """The innermost of what happened, without the library's wrappings."""
    while error.args and isinstance(inner := getattr(error.args[0], "reason", error.args[0]), BaseException):
        error = inner
    return str(error.args[-1] if len(error.args) > 1 else error)


def _demand_no_step_down(response: Any, **_: Any) -> None:
    """Refuse to be sent on from https to http, where everybody on the way would see the token."""
    if response.is_redirect and response.url.startswith("https://"):
        target = response.headers.get("location", "")
        if target.lower().startswith("http://"):
            response.close()
            raise SecretError(
                "Vault sends its clients on from https to http, where the token could be seen: correct its api_addr"
            )
