"""Clients of the gateway, as a process in the cluster's network: `load.py URL ORDERS_PER_SECOND PAGE`, until its standard
input ends; then it prints what it has seen, as JSON.

Orders are placed at a steady rate, each once; and somebody asks for a page all the time, to see how long nobody
answers.
"""

import http.client
import json
import queue
import sys
import threading
import time
from urllib.parse import urlsplit

# One answer; what takes longer than this is told as the slowest.
PATIENCE_S = 30

# The pause between two questions for a page, and how long each may take: what answers later is not there.
ASK_EVERY_S, ASK_S = 0.05, 1.0

# Threads that place orders: more than can wait at once.
CLIENTS = 64

ORDER = {
    "commandType": 0,
    "orderSource": 1,
    "location": 0,
    "loyaltyMemberId": "0199d2a0-0000-7000-8000-000000000009",
    "timestamp": "2026-01-01T00:00:00Z",
}

# How an order ends.
FULFILLED, REFUNDED = 2, 3

# Drinks, food, and both.
ITEMS = (([5, 0], [8]), ([3], []), ([], [6, 7]))


def order(number: int) -> bytes:
    drinks, food = ([{"itemType": kind} for kind in kinds] for kinds in ITEMS[number % len(ITEMS)])
    return json.dumps({**ORDER, "baristaItems": drinks, "kitchenItems": food}).encode()


def call(host: str, port: int, method: str, path: str, body: bytes | None, patience: float, key: str = "") -> tuple:
    """Status, body and `retry-after` of one request on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=patience)
    try:
        headers = {"idempotency-key": key} if key else {}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("retry-after")
    finally:
        connection.close()


class Load:
    """The clients at work, and what they have seen."""

    def __init__(self, url: str, rate: float, page: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.rate, self.page = parts.hostname, parts.port or 80, rate, page
        self.ended = threading.Event()
        self.numbers: queue.Queue[int | None] = queue.Queue()
        self.lock = threading.Lock()
        self.taken: list[str] = []
        self.failed: list[dict] = []
        self.slowest = 0.0
        self.took: list[float] = []
        self.asked, self.unanswered, self.gaps, self.answered = 0, 0, [], time.monotonic()

    def ask(self) -> None:
        """Asks for a page, and notes how long nobody answered: a gap is from one answer to the next."""
        while not self.ended.is_set():
            begun = time.monotonic()
            try:
                status, *_ = call(self.host, self.port, "GET", self.page, None, ASK_S)
            except (OSError, http.client.HTTPException):
                status = 0
            self.asked += 1
            self.unanswered += status != 200
            if status == 200:
                now = time.monotonic()
                self.gaps.append((round(now - self.answered, 3), round(time.time(), 3)))
                self.answered = now
            self.ended.wait(max(0.0, ASK_EVERY_S - (time.monotonic() - begun)))

    def place(self) -> None:
        """Places the orders whose numbers come."""
        while (number := self.numbers.get()) is not None:
            key, at = f"{id(self)}-{number}", time.time()
            try:
                status, body, later = call(
                    self.host, self.port, "POST", "/c/v1/api/orders", order(number), PATIENCE_S, key
                )
                told = body.decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                status, told, later = 0, repr(error), None
            ended = time.time()
            with self.lock:
                self.slowest = max(self.slowest, ended - at)
                self.took.append(ended - at)
                if status == 202:
                    self.taken.append(json.loads(told)["id"])
                else:
                    self.failed.append(
                        {"began": at, "ended": ended, "status": status, "retry_after": later, "told": told[:300]}
                    )

    def run(self) -> dict:
        clients = [threading.Thread(target=self.place) for _ in range(CLIENTS if self.rate else 0)]
        asker = threading.Thread(target=self.ask)
        for thread in [*clients, asker]:
            thread.start()
        threading.Thread(target=lambda: (sys.stdin.read(), self.ended.set()), daemon=True).start()
        number, begun = 0, time.monotonic()
        while not self.ended.wait(0.005):
            while self.rate and number < (time.monotonic() - begun) * self.rate:
                self.numbers.put(number)
                number += 1
        for _ in clients:
            self.numbers.put(None)
        for thread in [*clients, asker]:
            thread.join()
        return {
            "taken": self.taken,
            "failed": self.failed,
            "slowest": self.slowest,
            "median": sorted(self.took)[len(self.took) // 2] if self.took else 0.0,
            "asked": self.asked,
            "unanswered": self.unanswered,
            "gap": max([gap for gap, _ in self.gaps] + [time.monotonic() - self.answered]),
        }


def ends(url: str, ids: list[str], patience: float) -> dict:
    """Waits until each order has ended, and tells how: fulfilled, refunded, lost; and how many are listed twice."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port or 80
    deadline = time.monotonic() + patience
    counts = {"fulfilled": 0, "refunded": 0, "lost": 0, "doubled": 0}
    for each in ids:
        status = 0
        while status < FULFILLED:
            try:
                code, body, _ = call(host, port, "GET", f"/c/v1/api/orders/{each}", None, PATIENCE_S)
                status = json.loads(body).get("orderStatus", 0) if code == 200 else 0
            except (OSError, http.client.HTTPException, ValueError):
                status = 0
            if time.monotonic() > deadline:
                break
            time.sleep(0 if status >= FULFILLED else 0.05)
        counts[{FULFILLED: "fulfilled", REFUNDED: "refunded"}.get(status, "lost")] += 1
    listed: list[str] = []
    for page in range(1, 10_000):
        _, body, _ = call(host, port, "GET", f"/c/v1/api/fulfillment-orders?size=100&page={page}", None, PATIENCE_S)
        here = [each["id"] for each in json.loads(body)]
        listed += here
        if not here:
            break
    counts["doubled"] = len(listed) - len(set(listed))
    counts["lost"] += len(set(ids) - set(listed))
    return counts


def main() -> None:
    url, rate = sys.argv[1:3]
    if rate == "ends":
        print(json.dumps(ends(url, json.load(sys.stdin), float(sys.argv[3]))))
    else:
        print(json.dumps(Load(url, float(rate), sys.argv[3]).run()))


if __name__ == "__main__":
    main()
