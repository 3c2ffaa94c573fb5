"""Who is asking: API keys as bearer tokens; without any, neither the world nor foreign web pages are listened to."""

import hashlib
import hmac
import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.problems import Refused, wrong_field
from service.settings import Settings

LOCAL_OWNER = "local"
"""Owner of every job while no keys are set."""
READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing. A page of another site cannot read the answers: there are no CORS headers."""


class InsecureSettings(ValueError):
    """The service does not start with these settings."""


class KeyRing:
    """The keys `NAME:SECRET` of the settings. Only digests of the secrets are kept."""

    def __init__(self, keys: list[str], admins: list[str] | None = None):
        self._digests: dict[str, bytes] = {}
        for index, key in enumerate(keys):
            name, colon, secret = key.partition(":")
            if not (colon and name and secret) or name in self._digests:
                raise InsecureSettings(f"API_KEYS[{index}] must be NAME:SECRET, with a name of its own")
            self._digests[name] = digest(secret)
        self._admins = frozenset(admins or [])
        if strangers := sorted(self._admins - self._digests.keys()):
            raise InsecureSettings(f"ADMINS names keys that do not exist: {', '.join(strangers)}")

    @property
    def is_empty(self) -> bool:
        return not self._digests

    def is_admin(self, owner: str) -> bool:
        """Whether this owner may change what all others share."""
        return self.is_empty or owner in self._admins

    def owner(self, secret: str) -> str | None:
        """Name of the key with this secret. Every key is compared, in constant time."""
        sent = digest(secret)
        names = [name for name, known in self._digests.items() if hmac.compare_digest(known, sent)]
        return names[0] if names else None


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def check_exposure(settings: Settings) -> None:
    """Raises InsecureSettings where others could reach the service and no key is set."""
    if not settings.api_keys and not is_loopback(settings.host):
        raise InsecureSettings(f"others can reach {settings.host}: set REDIFFUSE_API_KEYS or use 127.0.0.1")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_foreign_pages(request: Request) -> None:
    """Without keys every web page that is opened on this machine could ask the service; none of another site may.

    A page that had its own name lead here (DNS rebinding) still sends that name as `Host`. A form or a script of
    another site sends its `Origin`, or at least `Sec-Fetch-Site`. Raises `foreign_origin`.
    """
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if not is_loopback(hostname(f"//{host}")):
        raise foreign("host", host)
    if request.method in READING:
        return
    if origin is None and request.headers.get("sec-fetch-site") == "cross-site":
        raise foreign("sec-fetch-site", "cross-site")
    if origin is not None and not is_loopback(hostname(origin)):
        raise foreign("origin", origin)


def foreign(header: str, value: str) -> Refused:
    detail = f"{value!r} is not this machine; set REDIFFUSE_API_KEYS to be asked from elsewhere"
    return wrong_field(f"/header/{header}", "foreign", detail, problem_code="foreign_origin")


def hostname(url: str) -> str:
    """The host of `scheme://host:port`; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


bearer = HTTPBearer(auto_error=False, description="Needed where the service has API keys.")


def authenticate(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> str:
    """The owner of what the request makes. Raises `missing_credentials`, `invalid_credentials`, `foreign_origin`."""
    keys: KeyRing = request.app.state.context.keys
    if keys.is_empty:
        refuse_foreign_pages(request)
        return LOCAL_OWNER
    if credentials is None:
        raise Refused(
            "missing_credentials", "send `Authorization: Bearer SECRET`", headers={"WWW-Authenticate": "Bearer"}
        )
    owner = keys.owner(credentials.credentials)
    if owner is None:
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Refused("invalid_credentials", "this API key is not known", headers=challenge)
    return owner


Owner = Annotated[str, Depends(authenticate)]


def authorise(request: Request, owner: Owner) -> str:
    """The owner, who may change what all others share. Raises `insufficient_scope`."""
    keys: KeyRing = request.app.state.context.keys
    if not keys.is_admin(owner):
        raise Refused("insufficient_scope", f"REDIFFUSE_ADMINS does not name the key {owner!r}")
    return owner


Admin = Annotated[str, Depends(authorise)]
