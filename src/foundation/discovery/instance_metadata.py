"""Ask the metadata service of EC2 (IMDSv2) about the instance on which this program runs; blocks."""

from __future__ import annotations

import http.client
import os
from urllib.parse import quote, urlsplit

from foundation.errors import ConfigurationError, DiscoveryError

ADDRESS = "http://169.254.169.254"
TOKEN_LIFE_S = 60
MOST_BYTES = 4096
OK = 200
NOT_FOUND = 404


class InstanceMetadata:
    """One conversation with the service: a token, then questions."""

    def __init__(self, url: str | None, timeout_s: float) -> None:
        """Take ``url``, else AWS_EC2_METADATA_SERVICE_ENDPOINT, else the address that every instance has."""
        self._url = url or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or ADDRESS
        parts = urlsplit(self._url)
        if parts.scheme != "http" or not parts.hostname:
            message = f"the address of the EC2 metadata service {self._url!r} cannot be used: take http://HOST"
            raise ConfigurationError(message)
        self._host, self._port = parts.hostname, parts.port or 80
        self._timeout_s = timeout_s
        self._token: str | None = None

    def tag(self, name: str) -> str | None:
        """Return a tag of this instance; None where the instance has none or does not show tags here."""
        return self._get(f"/latest/meta-data/tags/instance/{quote(name, safe='')}")

    def instance_id(self) -> str:
        """Return the id of this instance."""
        return self._must("/latest/meta-data/instance-id")

    def region(self) -> str:
        """Return the region in which this instance runs."""
        return self._must("/latest/meta-data/placement/region")

    def _must(self, path: str) -> str:
        found = self._get(path)
        if not found:
            message = f"the EC2 metadata service {self._url} does not tell {path.rpartition('/')[2]}"
            raise DiscoveryError(message)
        return found

    def _get(self, path: str) -> str | None:
        if self._token is None:
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_LIFE_S), "Content-Length": "0"}
            self._token = self._ask("PUT", "/latest/api/token", headers)
        return self._ask("GET", path, {"X-aws-ec2-metadata-token": self._token or ""})

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> str | None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            content = answer.read(MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            message = (
                f"the EC2 metadata service {self._url} does not answer ({error}); in a container, raise the"
                " instance's hop limit to 2, or set the options 'region' and 'tag_value'"
            )
            raise DiscoveryError(message) from error
        finally:
            connection.close()
        if answer.status == NOT_FOUND:
            return None
        if answer.status != OK:
            message = f"the EC2 metadata service {self._url} answers {method} {path} with {answer.status}"
            raise DiscoveryError(message)
        return content.decode("utf-8", "replace").strip()
