"""The package. Each request runs it in a fresh instance: what is to last goes into a store."""

from dapr import State, publish
from web import Request, Response

orders = State("statestore")


class App:
    def handle(self, request: Request) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["dapr", "subscribe"]:
                return self.subscriptions()
            case "POST", ["dapr", "events", "orders"]:
                return self.brew(request.json()["data"])
            case "POST", ["orders"]:
                return self.place(request)
            case "GET", ["orders", order]:
                return self.show(order)
            case "GET", [name]:
                return Response.text(f"Hello, {name}!\n")
        return Response.json({"error": "there is no such page"}, status=404)

    def place(self, request: Request) -> Response:
        """Keeps a new order and tells whoever brews."""
        match request.json():
            case {"id": str(id), "drink": str(drink)}:
                order = {"id": id, "drink": drink, "status": "Placed"}
            case _:
                return Response.json({"error": "an order has an id and a drink"}, status=400)
        if not orders.create(id, order):
            return Response.json({"error": "there is such an order already"}, status=409)
        publish("pubsub", "orders", order)
        return Response.json(order, status=202)

    def show(self, id: str) -> Response:
        order = orders.get(id)
        if order is None:
            return Response.json({"error": "there is no such order"}, status=404)
        return Response.json(order)

    def subscriptions(self) -> Response:
        """What the package wants to be told of, and where: paths below /dapr are closed from outside."""
        route = "/dapr/events/orders"
        wanted = {"pubsubname": "pubsub", "topic": "orders", "route": route, "deadLetterTopic": "orders-dead"}
        return Response.json([wanted])

    def brew(self, order: dict) -> Response:
        """What raises is tried again, and then goes to `orders-dead`; the same event may come twice."""
        orders.update(order["id"], lambda kept: kept and {**kept, "status": "Ready"})
        return Response.json({"status": "SUCCESS"})
