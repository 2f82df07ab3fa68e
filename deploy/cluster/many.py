"""A thousand packages of twenty components from a registry, in two gateways: how long each takes until it is ready."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from . import registry
from .image import GATEWAY
from .node import Node
from .shop import Shop
from .table import Row, Table, slowness

NAMESPACE = "many"
PROJECT = "many"

PACKAGES, DIGESTS = 1000, 20

# How long both may take with empty caches, and with what they had.
COLD_S, WARM_S = 30.0, 3.0


def run(node: Node, table: Table, gateway: Path) -> None:
    if registry.lacks():
        print("a thousand packages from a registry are left out: there is no docker-registry")
        return
    shop = Shop(node, NAMESPACE, PROJECT)
    shop.make()
    target = f"ready in ≤ {COLD_S:.0f} s with a cold cache, ≤ {WARM_S:.0f} s with a warm one"
    case = f"two gateways, {PACKAGES:,} packages of {DIGESTS} digests from a registry"
    table.attempt(case, target, partial(ready, shop, gateway))
    node.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def ready(shop: Shop, gateway: Path, row: Row) -> None:
    pushed(shop.node, gateway)
    shop.apply(objects(shop.node, gateway))
    cold = until_ready(shop, 0)
    row.tell(f"cold {cold:.1f} s")
    shop.ready(f"deployment/{PROJECT}")
    answered(shop, row)
    kill(shop)
    warm = until_ready(shop, 1)
    row.tell(f"warm {warm:.1f} s")
    shop.ready(f"deployment/{PROJECT}")
    answered(shop, row)
    slow = slowness()
    if slow > 2:
        row.tell(f"on a machine that is {slow:.0f} times too busy")
    row.need(cold <= COLD_S * slow, f"{cold:.1f} s with a cold cache")
    row.need(warm <= WARM_S * slow, f"{warm:.1f} s with a warm cache")


def pushed(node: Node, gateway: Path) -> None:
    """Each component under as many tags as there are packages of it."""
    registry.begin(node)
    for digest in range(DIGESTS):
        registry.push(node, gateway, digest, f"{registry.REGISTRY}/many/site-{digest}:v0")
        tags = [f"v{tag}" for tag in range(1, PACKAGES // DIGESTS)]
        registry.tag(node, f"many/site-{digest}", "v0", tags)


def objects(node: Node, gateway: Path) -> str:
    folder = node.folder / PROJECT
    folder.mkdir()
    parts = [registry.SETTINGS]
    for at in range(PACKAGES):
        source = f"oci://{registry.REGISTRY}/many/site-{at % DIGESTS}:v{at // DIGESTS}"
        parts.append(f'[package.site-{at}]\nsource = "{source}"\n')
        parts.append(f'[[route]]\npath = "/site-{at}/hello"\npackage = "site-{at}"\nstrip_prefix = "/site-{at}"\n')
    (folder / "wasmgate.toml").write_text("\n".join(parts))
    command = [gateway, "deploy", "--kubernetes", "--image", f"{GATEWAY}:1", "--cache", "1Gi"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def until_ready(shop: Shop, restarts: int) -> float:
    """The seconds from the start of a gateway, after so many restarts, until it says that it is ready: the longer ones."""
    shop.node.until("two pods", lambda: len(shop.pods()) == 2)
    pods = [pod["metadata"]["name"] for pod in shop.pods()]
    with ThreadPoolExecutor() as threads:
        ready = list(threads.map(partial(ready_at, shop), pods))
    return max(at - started_at(shop, name, restarts) for name, at in zip(pods, ready, strict=True))


def ready_at(shop: Shop, name: str) -> float:
    address = shop.node.until(f"the address of {name}", lambda: pod(shop, name)["status"].get("podIP"))
    ask = ("-m", "2", "-o", "/dev/null", "-w", "%{http_code}", f"http://{address}:9090/readyz")
    shop.node.until(f"the readiness of {name}", lambda: registry.curl(shop.node, *ask).stdout == "200")
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def started_at(shop: Shop, name: str, restarts: int) -> float:
    """When a pod's process began, by the same clock (proc(5), `starttime`)."""
    told = lambda: [each["restartCount"] for each in pod(shop, name)["status"].get("containerStatuses", [])] == [restarts]
    shop.node.until(f"the start of {name}", told)
    process = shop.process(pod(shop, name), "wasmgate")
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def pod(shop: Shop, name: str) -> dict:
    return next(each for each in shop.pods() if each["metadata"]["name"] == name)


def kill(shop: Shop) -> None:
    """Ends both gateways; the kubelet starts each again, beside its cache."""
    processes = [shop.process(each, "wasmgate") for each in shop.pods()]
    for process in processes:
        os.kill(process, signal.SIGKILL)
    shop.node.until("their end", lambda: not any(Path(f"/proc/{each}").exists() for each in processes))


def answered(shop: Shop, row: Row) -> None:
    said = registry.curl(shop.node, "-m", "10", f"{shop.url()}/site-{PACKAGES - 1}/hello").stdout
    row.need(said == "Hello from Wasmgate!\n", f"the last package answers {said!r}")
