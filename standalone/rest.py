"""A small client of the REST API, for the demo account and the demo."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024


class Refused(Exception):
    """The API answered with an error; `code` is its stable reason."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


class Unreachable(Exception):
    """There was no answer."""


class Rest:
    """Calls paths below `/api/v1` of one server with one credential."""

    def __init__(self, url: str, authorization: str = "") -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        self._secure = parts.scheme == "https"
        self._host = parts.netloc
        self._base = f"{parts.path.rstrip('/')}/api/v1"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if authorization:
            self._headers["Authorization"] = authorization

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """The answer of a read. Raises Refused or Unreachable."""
        return self._call("GET", path + ("?" + urlencode(query) if query else ""), None)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """The `data` of the answer of a write. Raises Refused or Unreachable."""
        data = self._call("POST", path, json.dumps(body).encode()).get("data")
        return data if isinstance(data, dict) else {}

    def get_data(self, path: str) -> dict[str, Any]:
        """The one thing that a read answers. Raises Refused or Unreachable."""
        data = self.get(path).get("data")
        return data if isinstance(data, dict) else {}

    def _call(self, verb: str, path: str, body: bytes | None) -> dict[str, Any]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, timeout=TIMEOUT_S)
        try:
            connection.request(verb, f"{self._base}/{path}", body, self._headers)
            answer = connection.getresponse()
            document = json.loads(answer.read(ANSWER_BYTES_MAX) or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{self._host} does not answer as expected: {error!r}") from error
        finally:
            connection.close()
        if not isinstance(document, dict):
            raise Unreachable(f"{self._host} does not speak our language.")
        if answer.status >= http.client.BAD_REQUEST:
            raise Refused(answer.status, document.get("code", ""), _sentence(document))
        return document


def _sentence(document: Mapping[str, Any]) -> str:
    fields = document.get("errors") or {}
    details = "; ".join(f"{name}: {' '.join(said)}" for name, said in fields.items())
    return str(document.get("error", "")) + (f" ({details})" if details else "")
