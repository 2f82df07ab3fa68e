"""deploy/base: one gateway that keeps everything, and all that ends it."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .render import dump, render, volume
from .shop import Shop
from .table import Row, Table, slowness

WORKLOAD = "statefulset/wasmgate"

# Orders a second while something happens.
RATE = 6

# The longest time without an answer, the drain aside, which takes none when nothing long is under way.
GAP_S = 5.0

# Takes all memory of a group, and a byte of each page of it.
HOG = """
import mmap
kept = []
while True:
    kept.append(mmap.mmap(-1, 1 << 24))
    kept[-1].write(b"x" * (1 << 24))
"""


def run(shop: Shop, table: Table) -> None:
    """Deploys it and tries everything that ends it; it is there then."""
    objects = render(shop.node, "base", "1")
    row = Row("`restricted` namespace, server-side apply of base", "admitted without a warning")
    shop.node.kubectl("apply", "-f", "-", text=json.dumps(volume(shop.node, "wasmgate-data")))
    begun = time.monotonic()
    warned = shop.apply(dump(objects))
    shop.ready(WORKLOAD)
    row.tell(f"ready {time.monotonic() - begun:.1f} s after the first apply")
    row.need(not warned, warned)
    table.add(row)
    for name, ends, restarts in (
        ("pod deleted", deleted, 0),
        ("pod deleted by force: the new one beside the old", forced, 0),
        ("node drained and uncordoned", drained, 0),
        ("pod evicted", evicted, 0),
        ("`kill -9`", killed, 1),
        ("OOM-killed", out_of_memory, 1),
        ("rolled out", rolled_out, 0),
    ):
        target = f"≤ {GAP_S:.0f} s without an answer, {restarts} restarts, nothing acknowledged lost"
        table.attempt(f"base: {name}", target, partial(disturbed, shop, ends, restarts))
    told = "`rollout undo` brings back what was served"
    table.attempt("base: rolled out to an image that is not there", told, partial(undone, shop))


def end(shop: Shop) -> None:
    """Takes its pod away, for what comes next."""
    shop.kubectl("delete", "--wait", WORKLOAD, check=False)
    shop.node.until("the end of the pod", lambda: shop.settled(0))


def disturbed(shop: Shop, end: Callable[[Shop], None], restarts: int, row: Row) -> None:
    fresh(shop)
    with shop.load(RATE) as load:
        before = shop.pods()[0]["metadata"]["uid"]
        end(shop)
        changed = lambda: restarts and shop.restarts() or [
            each for each in shop.pods() if each["metadata"]["uid"] != before
        ]
        shop.node.until("the end of the pod", changed)
        shop.node.until("one pod that is ready", lambda: shop.settled(1))
    ends = load.orders()
    row.tell(f"{shop.restarts()} restarts")
    row.tell(f"{len(load.seen['taken'])} orders taken, {len(load.seen['failed'])} refused, {ends}")
    slow = slowness()
    busy = f" on a machine that is {slow:.0f} times too busy" if slow > 2 else ""
    row.tell(f"{load.seen['gap']:.1f} s without an answer{busy}")
    row.need(load.seen["gap"] <= GAP_S * slow, f"nobody answered for {load.seen['gap']:.1f} s")
    row.need(shop.restarts() == restarts, f"{shop.restarts()} restarts: {shop.kubectl('get', 'pods').stdout}")
    row.need(ends["fulfilled"] == len(load.seen["taken"]), f"an acknowledged order was not made: {ends}")
    row.need(ends["doubled"] == 0, "an order is listed twice")


def undone(shop: Shop, row: Row) -> None:
    """With the usual order of a StatefulSet's pods, one that never gets ready would be waited for."""
    shop.apply(dump(render(shop.node, "base", "none")))
    missing = lambda: "ErrImage" in (found := shop.kubectl("get", "pods").stdout) or "ImagePull" in found
    shop.node.until("a pod without an image", missing)
    begun = time.monotonic()
    shop.kubectl("rollout", "undo", WORKLOAD)
    shop.node.until("one pod that is ready", lambda: shop.settled(1))
    row.tell(f"ready {time.monotonic() - begun:.1f} s after it")


def fresh(shop: Shop) -> None:
    """A pod that has not been restarted: the kubelet restarts one later each time."""
    if shop.restarts():
        deleted(shop)
    shop.node.until("one pod that is ready", lambda: shop.settled(1) and not shop.restarts())


def name_of(shop: Shop) -> str:
    return shop.pods()[0]["metadata"]["name"]


def deleted(shop: Shop) -> None:
    shop.kubectl("delete", "pod", name_of(shop), "--wait=false")


def forced(shop: Shop) -> None:
    shop.kubectl("delete", "pod", name_of(shop), "--force", "--grace-period=0")


def evicted(shop: Shop) -> None:
    pod = name_of(shop)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "shop"}}
    path = f"/api/v1/namespaces/shop/pods/{pod}/eviction"
    shop.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))


def drained(shop: Shop) -> None:
    """There is one node: as soon as the pod has to go, the node takes it again."""
    drain = ("drain", "node", "--ignore-daemonsets", "--delete-emptydir-data", "--force")
    thread = threading.Thread(target=lambda: shop.node.kubectl(*drain))
    thread.start()
    shop.node.until("the pod that has to go", lambda: not shop.pods())
    shop.node.kubectl("uncordon", "node")
    thread.join()


def killed(shop: Shop) -> None:
    os.kill(shop.process(shop.pods()[0], "wasmgate"), signal.SIGKILL)


def out_of_memory(shop: Shop) -> None:
    """Somebody else in the gateway's group takes all there is; the kernel ends the gateway first."""
    process = shop.process(shop.pods()[0], "wasmgate")
    Path(f"/proc/{process}/oom_score_adj").write_text("1000")
    groups = Path(f"/proc/{process}/cgroup").read_text().splitlines()
    paths = dict(line.split(":", 2)[1:] for line in groups)
    root = Path("/sys/fs/cgroup") / ("memory" if "memory" in paths else "")
    group = root / (paths.get("memory") or paths[""]).lstrip("/")
    hog = subprocess.Popen(["sh", "-c", 'echo $$ > "$0" && exec python3 -c "$1"', group / "cgroup.procs", HOG])
    try:
        gone = lambda: not Path(f"/proc/{process}").exists()
        shop.node.until("the end of the gateway", gone, 60)
    finally:
        hog.kill()
        hog.wait()
    reason = lambda: "OOMKilled" in shop.kubectl("get", "pods", "-o", "json").stdout
    shop.node.until("a gateway that was killed for memory", reason, 60)


def rolled_out(shop: Shop) -> None:
    shop.apply(dump(render(shop.node, "base", "2")))
