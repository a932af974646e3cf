"""Ask Google's APIs with the token of this machine, and say in words what they refuse."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from foundation.core.sources import clock
from foundation.discovery.extras import missing_extra
from foundation.errors import DiscoveryError

if TYPE_CHECKING:
    import httpx

METADATA = "metadata.google.internal"
SCOPE = "https://www.googleapis.com/auth/compute.readonly"
EARLIER_S = 60.0
MOST_PAGES = 1000
OK = 200
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
TOO_MANY = 429
_FLAVOR = {"Metadata-Flavor": "Google"}


def need_client() -> None:
    """Load the package `httpx` now, before the event loop would wait for it; raises MissingExtraError."""
    try:
        importlib.import_module("httpx")
    except ImportError as error:
        missing = missing_extra("gcp", "httpx")
        raise missing from error


class GoogleApi:
    """One connection to the metadata server of the machine and to an API."""

    def __init__(self, api_url: str, metadata_url: str | None, timeout_s: float) -> None:
        """Connect to nothing yet."""
        import httpx  # noqa: PLC0415 - an extra

        host = os.environ.get("GCE_METADATA_HOST") or METADATA
        self._api_url = api_url.rstrip("/")
        self._metadata_url = (metadata_url or f"http://{host}").rstrip("/")
        self._api = httpx.AsyncClient(timeout=timeout_s)
        self._metadata = httpx.AsyncClient(timeout=timeout_s, trust_env=False)  # never through a proxy
        self._failures = (httpx.HTTPError, httpx.InvalidURL)
        self._token = ""
        self._expires_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._api.aclose()
        await self._metadata.aclose()

    async def metadata(self, path: str) -> str:
        """Return what the metadata server has at ``path``, such as ``project/project-id``."""
        answer = await self._from_metadata(path)
        if answer.status_code != OK:
            message = f"the metadata server {self._metadata_url} answers {path} with {answer.status_code}"
            raise DiscoveryError(message)
        return answer.text.strip()

    async def pages(
        self, method: str, path: str, kind: str, permission: str, body: object = None, **parameters: str
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the pages of a list; ``kind`` is what each must say it is, ``permission`` what IAM calls the right."""
        for _ in range(MOST_PAGES):
            page = await self._ask(method, path, permission, body, parameters)
            if page.get("kind") != kind:
                message = f"{self._api_url}{path} does not answer as Google does: no {kind}; check 'api_url'"
                raise DiscoveryError(message)
            yield page
            token = page.get("nextPageToken")
            if not isinstance(token, str) or not token:
                return
            parameters["pageToken"] = token
        message = f"{self._api_url}{path} answers with more than {MOST_PAGES} pages"
        raise DiscoveryError(message)

    async def _ask(
        self, method: str, path: str, permission: str, body: object, parameters: dict[str, str]
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {await self._valid_token()}"}
        try:
            answer = await self._api.request(
                method, f"{self._api_url}{path}", params=parameters, json=body, headers=headers
            )
        except self._failures as error:
            message = (
                f"{self._api_url} does not answer: {describe(error)}; check the network, and Private Google Access"
            )
            raise DiscoveryError(message) from error
        content = _as_object(answer)
        if answer.status_code == OK:
            return content
        if answer.status_code == UNAUTHORIZED:
            self._expires_at = 0.0
        raise DiscoveryError(_explain(answer.status_code, content, path, permission))

    async def _valid_token(self) -> str:
        if clock().now() < self._expires_at:
            return self._token
        answer = await self._from_metadata("instance/service-accounts/default/token")
        if answer.status_code == NOT_FOUND:
            message = f"this machine has no service account: attach one, with the scope {SCOPE} or cloud-platform"
            raise DiscoveryError(message)
        content = _as_object(answer)
        token, lives_s = content.get("access_token"), content.get("expires_in")
        if answer.status_code != OK or not isinstance(token, str) or not isinstance(lives_s, int):
            message = f"the metadata server {self._metadata_url} gives no token ({answer.status_code})"
            raise DiscoveryError(message)
        self._token, self._expires_at = token, clock().now() + lives_s - EARLIER_S
        return token

    async def _from_metadata(self, path: str) -> httpx.Response:
        try:
            answer = await self._metadata.get(f"{self._metadata_url}/computeMetadata/v1/{path}", headers=_FLAVOR)
        except self._failures as error:
            message = (
                f"the metadata server {self._metadata_url} does not answer: {describe(error)}; is this Google Cloud?"
            )
            raise DiscoveryError(message) from error
        if answer.headers.get("metadata-flavor") != _FLAVOR["Metadata-Flavor"]:
            message = f"{self._metadata_url} is not the metadata server of Google Cloud; check 'metadata_url'"
            raise DiscoveryError(message)
        return answer


def describe(error: Exception) -> str:
    """Return the error's text, or its name, since httpx leaves many empty."""
    return str(error) or type(error).__name__


def _as_object(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _explain(status: int, content: dict[str, Any], path: str, permission: str) -> str:
    error = content.get("error")
    details: dict[str, Any] = error if isinstance(error, dict) else {}
    text = str(details.get("message", "no reason given"))
    reasons = {str(entry.get("reason")) for key in ("errors", "details") for entry in _objects(details.get(key))}
    if reasons & {"rateLimitExceeded", "RATE_LIMIT_EXCEEDED", "quotaExceeded"} or status == TOO_MANY:
        why = "Google Cloud limits the rate of requests: raise 'poll_interval_s'"
    elif reasons & {"accessNotConfigured", "SERVICE_DISABLED"}:
        why = "the Compute Engine API is not enabled in this project: gcloud services enable compute"
    elif reasons & {"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}:
        why = f"the scopes of this machine do not allow it: give it {SCOPE} or cloud-platform"
    elif status == FORBIDDEN:
        named = re.search(r"'(compute\.[A-Za-z.]+)'", text)  # Google may want more than we know of
        right = named[1] if named else permission
        why = f"Google Cloud does not allow {right}: grant it to the service account, as roles/compute.viewer does"
    elif status == UNAUTHORIZED:
        why = "Google Cloud refuses the token of the service account; a new one is fetched"
    elif status == NOT_FOUND:
        why = f"Google Cloud does not have {path}: check the project, zones and instance group"
    else:
        why = f"Google Cloud answers {path} with an error"
    return f"{why} ({status}: {text})"


def _objects(found: object) -> list[dict[str, Any]]:
    return (
        [entry for entry in cast("list[object]", found) if isinstance(entry, dict)] if isinstance(found, list) else []
    )
