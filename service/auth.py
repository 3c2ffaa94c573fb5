"""Who is asking: API keys as bearer tokens, and the refusal to listen to the world without any."""

import hashlib
import hmac
import ipaddress
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.problems import Refused
from service.settings import Settings

LOCAL_OWNER = "local"
"""Owner of every job while no keys are set."""


class InsecureSettings(ValueError):
    """The service does not start with these settings."""


class KeyRing:
    """The keys `NAME:SECRET` of the settings. Only digests of the secrets are kept."""

    def __init__(self, keys: list[str]):
        self._digests: dict[str, bytes] = {}
        for index, key in enumerate(keys):
            name, colon, secret = key.partition(":")
            if not (colon and name and secret) or name in self._digests:
                raise InsecureSettings(f"API_KEYS[{index}] must be NAME:SECRET, with a name of its own")
            self._digests[name] = digest(secret)

    @property
    def is_empty(self) -> bool:
        return not self._digests

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


bearer = HTTPBearer(auto_error=False, description="Needed where the service has API keys.")


def authenticate(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> str:
    """The owner of what the request makes. Raises `missing_credentials` and `invalid_credentials`."""
    keys: KeyRing = request.app.state.context.keys
    if keys.is_empty:
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
