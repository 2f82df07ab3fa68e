"""The same class, called natively; a dictionary answers in Dapr's place."""

import json
import unittest

import dapr
from app import App
from web import Request, Response


class DaprStandIn:
    def __init__(self):
        self.kept, self.published = {}, []

    def __call__(self, authority: str, request: Request) -> Response:
        match request.method, request.path.split("/")[2:]:
            case "POST", ["publish", pubsub, topic]:
                self.published.append((f"{pubsub}/{topic}", request.json()))
            case "GET", ["state", _, key]:
                return Response(200, {"etag": "1"}, self.kept[key]) if key in self.kept else Response(204)
            case "POST", ["state", _]:
                [item] = request.json()
                if item.get("etag") == "" and item["key"] in self.kept:
                    return Response(409)
                self.kept[item["key"]] = json.dumps(item["value"]).encode()
        return Response(204)


class AppTest(unittest.TestCase):
    def setUp(self):
        self.dapr = dapr.send = DaprStandIn()

    def call(self, method: str, path: str, body=None) -> Response:
        return App().handle(Request(method, path, body=json.dumps(body).encode()))

    def test_a_name_is_greeted(self):
        self.assertEqual(self.call("GET", "/you").body, b"Hello, you!\n")

    def test_an_order_is_kept_published_and_ready_after_its_event(self):
        self.assertEqual(self.call("POST", "/orders", {"id": "7", "drink": "latte"}).status, 202)
        [(topic, data)] = self.dapr.published
        self.assertEqual(topic, "pubsub/orders")
        self.call("POST", "/dapr/events/orders", {"data": data})
        self.assertEqual(json.loads(self.call("GET", "/orders/7").body)["status"], "Ready")

    def test_the_same_order_is_not_taken_twice(self):
        order = {"id": "7", "drink": "latte"}
        self.assertEqual(self.call("POST", "/orders", order).status, 202)
        self.assertEqual(self.call("POST", "/orders", order).status, 409)

    def test_what_is_no_order_is_refused(self):
        self.assertEqual(self.call("POST", "/orders", "latte").status, 400)
