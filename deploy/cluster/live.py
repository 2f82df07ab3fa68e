"""An edited ConfigMap: served without a rollout, and without a request that notices."""

import json
import time
from functools import partial

from .embedded import RATE, WORKLOAD
from .render import dump, render
from .shop import Shop
from .table import Row, Table

# The kubelet writes a changed ConfigMap into its pods when it looks at them again: every minute, and a bit.
SWAPPED_S = 150

MENU = 'path = "/menu"'
NEW_ROUTE = f'[[route]]\n{MENU}\npackage = "hello"\nstrip_prefix = "/menu"\nmethods = ["GET"]\n'
MISTAKE = '[[route]]\npath = "/nowhere"\npackage = "nobody"\n'


def run(shop: Shop, table: Table) -> None:
    objects = render(shop.node, "base", "2")
    shop.apply(dump(objects))
    shop.ready(WORKLOAD)
    shop.node.until("one pod that is ready", lambda: shop.settled(1))
    served = "served, 0 failed, no new pod"
    table.attempt("base: an edited ConfigMap, under load", served, partial(edited, shop, objects))
    told = "the one before is served; a metric and a detail of /readyz tell"
    table.attempt("base: a ConfigMap with a mistake", told, partial(mistaken, shop, objects))
    shop.apply(dump(objects))


def edit(shop: Shop, objects: list[dict], more: str) -> None:
    config = json.loads(json.dumps(next(each for each in objects if "wasmgate.toml" in each.get("data", {}))))
    config["data"]["wasmgate.toml"] += f"\n{more}"
    shop.apply(dump([config]))


def reloads(shop: Shop, result: str) -> float:
    metrics = shop.admin(shop.pods()[0], "/metrics").splitlines()
    wanted = f'wasmgate_reloads_total{{result="{result}"}}'
    return sum(float(line.rpartition(" ")[2]) for line in metrics if line.startswith(wanted))


def edited(shop: Shop, objects: list[dict], row: Row) -> None:
    pod, begun = shop.pods()[0]["metadata"]["uid"], time.monotonic()
    with shop.load(RATE) as load:
        edit(shop, objects, NEW_ROUTE)
        routes = lambda: [each["path"] for each in json.loads(shop.admin(shop.pods()[0], "/status"))["routes"]]
        shop.node.until("the new route", lambda: "/menu" in routes(), SWAPPED_S)
        row.tell(f"served {time.monotonic() - begun:.0f} s after the edit")
    row.tell(f"{len(load.seen['taken'])} orders taken, {len(load.seen['failed'])} failed")
    row.need(not load.seen["failed"], f"failed: {load.seen['failed'][:3]}")
    row.need(shop.pods()[0]["metadata"]["uid"] == pod and not shop.restarts(), "there is another pod")


def mistaken(shop: Shop, objects: list[dict], row: Row) -> None:
    begun = time.monotonic()
    edit(shop, objects, MISTAKE)
    shop.node.until("a reload that is refused", lambda: reloads(shop, "rejected") >= 1, SWAPPED_S)
    row.tell(f"refused {time.monotonic() - begun:.0f} s after the edit")
    told = json.loads(shop.admin(shop.pods()[0], "/readyz"))
    row.need(told["ready"], f"it is not ready: {told}")
    row.need(any(each["reason"] == "reload-failed" for each in told["details"]), f"/readyz does not tell: {told}")
    row.need("nobody" in json.dumps(told), f"the mistake is not named: {told}")
