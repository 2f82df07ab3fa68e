"""`make test-cluster`: brings the cluster up, tries everything, prints a table, and takes the cluster down.

Arguments: `--kube` and `--containerd`, the binaries of `kube/` and `containerd/`; `--gateway`, the binary that the image
has; `--dapr`, the folder of Dapr's sidecar and scheduler; `--only`, parts of it; `--keep`, until a line is read.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from . import copies, embedded, ingress, live, many, node, rendered, replicas, services, updated
from .image import ROOT, Images
from .node import Node
from .services import Services
from .shop import Shop
from .table import Row, Table

# What ends it early.
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

PARTS = ("rendered", "many", "embedded", "replicas", "ingress")


def main() -> int:
    asked = arguments()
    if missing := node.lacks():
        print(f"the cluster is left out: {missing}")
        return 0
    # What Debian keeps for root alone.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    # Whoever ends this takes the cluster down by it.
    for end in ENDS:
        signal.signal(end, lambda number, _: sys.exit(128 + number))
    table, cluster = Table(), Node(asked.kube, asked.containerd, ROOT / "target/cluster/node")
    try:
        return tried(asked, table, cluster)
    except node.Forbidden as forbidden:
        print(f"the cluster is left out: {forbidden}")
        return 0
    except node.Busy as busy:
        print(busy)
        return 1
    finally:
        # Nobody hurries this.
        for end in ENDS:
            signal.signal(end, signal.SIG_IGN)
        cluster.down()


def tried(asked: argparse.Namespace, table: Table, cluster: Node) -> int:
    begun = time.monotonic()
    cluster.up()
    images = Images(cluster, ROOT / "target/cluster/images")
    images.pause()
    row = Row("the cluster and the image", "told")
    row.tell(f"cluster up in {time.monotonic() - begun:.0f} s")
    size = images.gateway(asked.gateway, ("1", "2"))
    row.tell(f"image {size / 1e6:.0f} MB with its packages and libraries ({asked.gateway.parent.name} build)")
    table.add(row)
    if "rendered" in asked.only:
        rendered.run(images, asked.gateway, table)
    if "many" in asked.only:
        many.run(cluster, table, asked.gateway)
    shop = Shop(cluster)
    shop.make()
    if "embedded" in asked.only:
        embedded.run(shop, table)
        copies.run(shop, table)
        live.run(shop, table)
        updated.run(shop, table, asked.gateway)
        embedded.end(shop)
    if missing := services.lacks():
        print(f"the overlay is left out: {missing}")
    elif {"replicas", "ingress"} & set(asked.only):
        images.sidecar(asked.dapr / "daprd")
        beside = Services(cluster, asked.dapr / "scheduler")
        replicas.run(shop, table, beside, "replicas" in asked.only)
        if "ingress" in asked.only:
            ingress.run(shop, table)
    failed = table.show()
    if asked.keep:
        command = cluster.inside(cluster.kube, "kubectl", f"--kubeconfig={cluster.folder}/admin.conf")
        print(" ".join(command), flush=True)
        sys.stdin.readline()
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-cluster", description=__doc__)
    parser.add_argument("--kube", type=Path, required=True)
    parser.add_argument("--containerd", type=Path, required=True)
    parser.add_argument("--gateway", type=Path, required=True)
    parser.add_argument("--dapr", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    for name in ("kube", "containerd", "gateway", "dapr"):
        setattr(asked, name, getattr(asked, name).resolve())
    return asked


if __name__ == "__main__":
    sys.exit(main())
