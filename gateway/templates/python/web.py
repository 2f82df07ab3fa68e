"""Requests and responses."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""

    def json(self) -> Any:
        """The body; None if it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class Response:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @staticmethod
    def text(text: str, status: int = 200) -> "Response":
        return Response(status, {"content-type": "text/plain; charset=utf-8"}, text.encode())

    @staticmethod
    def json(value: Any, status: int = 200) -> "Response":
        return Response(status, {"content-type": "application/json"}, json.dumps(value).encode())
