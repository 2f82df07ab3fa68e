"""State and events by Dapr's HTTP API, which the gateway answers: https://docs.dapr.io/reference/api/"""

import json
from typing import Any, Callable
from urllib.parse import quote

from web import Request, Response

# Sends a request; main.py puts the host's way here, and tests their own.
send: Callable[[str, Request], Response]


def call(method: str, path: str, body: Any = None) -> Response:
    headers = {} if body is None else {"content-type": "application/json"}
    sent = b"" if body is None else json.dumps(body).encode()
    reply = send("localhost:3500", Request(method, f"/v1.0{path}", headers=headers, body=sent))
    # 409: somebody else was faster.
    if reply.status >= 300 and reply.status != 409:
        raise RuntimeError(f"{method} {path}: {reply.status} {reply.body.decode(errors='replace')}")
    return reply


def publish(pubsub: str, topic: str, data: Any) -> None:
    call("POST", f"/publish/{pubsub}/{topic}", data)


class State:
    def __init__(self, store: str):
        self.path = f"/state/{store}"

    def read(self, key: str) -> tuple[Any, str]:
        reply = call("GET", f"{self.path}/{quote(key, safe='')}")
        return json.loads(reply.body) if reply.status != 204 else None, reply.headers.get("etag", "")

    def write(self, key: str, value: Any, etag: str | None = None) -> bool:
        """With an ETag, only over the value that has it; with an empty one, only where there is none."""
        first = {} if etag is None else {"etag": etag, "options": {"concurrency": "first-write"}}
        return call("POST", self.path, [{"key": key, "value": value, **first}]).status < 300

    def get(self, key: str) -> Any:
        return self.read(key)[0]

    def create(self, key: str, value: Any) -> bool:
        """False if it is there already."""
        return self.write(key, value, "")

    def remove(self, key: str) -> None:
        call("DELETE", f"{self.path}/{quote(key, safe='')}")

    def update(self, key: str, change: Callable[[Any], Any]) -> Any:
        """Reads, changes and writes, and again if somebody else was faster; None changes nothing."""
        while True:
            value, etag = self.read(key)
            changed = change(value)
            if changed is None or self.write(key, changed, etag):
                return changed
