"""deploy/base with a package from a registry: its tag moves, and its reference is edited, while requests come in."""

import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import registry
from .embedded import RATE, WORKLOAD, deleted
from .live import SWAPPED_S
from .render import dump, render
from .shop import Shop
from .table import Row, Table

NAME = f"{registry.REGISTRY}/shop/hello"

# How often the gateway looks the tag up.
REFRESH_S = 2

SETTINGS = f"""
[registry]
refresh = "{REFRESH_S}s"
{registry.SETTINGS}"""


def run(shop: Shop, table: Table, gateway: Path) -> None:
    if registry.lacks():
        print("packages from a registry are left out: there is no docker-registry")
        return
    registry.begin(shop.node)
    objects = render(shop.node, "base", "2")
    pushed = lambda version, tag: registry.push(shop.node, gateway, version, f"{NAME}:{tag}")
    first, tag, target = pushed(0, "live"), f"oci://{NAME}:live", "swapped, 0 failed, no new pod"
    config = text_of(objects)
    own = re.sub(r'^source = "/packages/hello\.wasm"$', f'source = "{tag}"', config, flags=re.M) + SETTINGS
    if own == config + SETTINGS:
        raise RuntimeError("deploy/base has no package hello any more")
    apply(shop, objects, own)
    deleted(shop)
    shop.node.until("the package from the registry", lambda: shop.settled(1) and serves(shop) == first)
    table.attempt("base: a package's tag moves", target, partial(swapped, shop, lambda: pushed(1, "live"), 30))

    def edited() -> str:
        third = pushed(2, "next")
        apply(shop, objects, own.replace(tag, f"oci://{NAME}:next"))
        return third

    case = "base: a package's reference is edited in the ConfigMap"
    table.attempt(case, target, partial(swapped, shop, edited, SWAPPED_S))
    shop.apply(dump(objects))
    shop.node.kubectl("-n", "shop", "rollout", "restart", WORKLOAD)
    shop.ready(WORKLOAD)


def swapped(shop: Shop, change: Callable[[], str], patience: float, row: Row) -> None:
    shop.node.until("one pod that is ready", lambda: shop.settled(1))
    pod, begun = shop.pods()[0]["metadata"]["uid"], time.monotonic()
    with shop.load(RATE) as load:
        digest = change()
        shop.node.until("the new package", lambda: serves(shop) == digest, patience)
        row.tell(f"served {time.monotonic() - begun:.1f} s after the change")
    ends = load.orders()
    row.tell(f"{len(load.seen['taken'])} orders taken, {len(load.seen['failed'])} failed, {ends}")
    row.tell(f"{load.seen['asked']} requests of it, {load.seen['unanswered']} failed")
    row.need(not load.seen["failed"], f"failed: {load.seen['failed'][:3]}")
    row.need(not load.seen["unanswered"], f"{load.seen['unanswered']} requests had no answer in time")
    row.need(ends["fulfilled"] == len(load.seen["taken"]), f"acknowledged orders: {ends}")
    row.need(shop.pods()[0]["metadata"]["uid"] == pod and not shop.restarts(), "there is another pod")


def text_of(objects: list[dict]) -> str:
    return config_of(objects)["data"]["wasmgate.toml"]


def config_of(objects: list[dict]) -> dict:
    return next(each for each in objects if "wasmgate.toml" in each.get("data", {}))


def apply(shop: Shop, objects: list[dict], text: str) -> None:
    config = json.loads(json.dumps(config_of(objects)))
    config["data"]["wasmgate.toml"] = text
    shop.apply(dump([config]))


def serves(shop: Shop) -> str:
    """The digest of what was pulled for the package."""
    if not (pods := shop.pods()):
        return ""
    answered = shop.admin(pods[0], "/status")
    packages = json.loads(answered)["packages"] if answered else []
    pulled = [each.get("pulled") for each in packages if each["name"] == "hello"]
    return pulled[0]["digest"] if pulled and pulled[0] else ""
