"""deploy/base: a copy of its data while orders come in, and the copy in their place, as deploy/README.md has it."""

import subprocess
from functools import partial
from pathlib import Path

from .embedded import RATE, WORKLOAD
from .image import DEPLOY, GATEWAY
from .render import SHIPPED
from .shop import NAMESPACE, Shop
from .table import Row, Table

CONFIG = "/etc/wasmgate/wasmgate.toml"
RESTORE = "wasmgate-restore"


def run(shop: Shop, table: Table) -> None:
    told = "every order that was taken before the copy is there again"
    table.attempt("base: backup while orders come in, restore", told, partial(copied, shop))


def copied(shop: Shop, row: Row) -> None:
    shop.node.until("one pod that is ready", lambda: shop.settled(1))
    copy = shop.node.folder / "copy.db"
    with shop.load(RATE) as before:
        pass
    with shop.load(RATE) as meanwhile, open(copy, "wb") as file:
        pod = shop.pods()[0]["metadata"]["name"]
        command = kubectl(shop, "exec", pod, "-c", "wasmgate", "--", "/usr/local/bin/wasmgate", "backup", CONFIG)
        subprocess.run(command, stdout=file, check=True)
    row.tell(f"{copy.stat().st_size / 1e6:.1f} MB, {len(meanwhile.seen['failed'])} orders failed meanwhile")
    row.need(not meanwhile.seen["failed"], f"failed: {meanwhile.seen['failed'][:3]}")
    shop.kubectl("scale", WORKLOAD, "--replicas=0")
    shop.node.until("the end of the pod", lambda: shop.settled(0))
    told = restored(shop, copy)
    row.need("restored" in told, f"the restore said {told!r}")
    shop.kubectl("scale", WORKLOAD, "--replicas=1")
    shop.node.until("one pod that is ready", lambda: shop.settled(1))
    ends = before.orders()
    row.tell(f"of {len(before.seen['taken'])} orders before it {ends}")
    row.need(ends["fulfilled"] == len(before.seen["taken"]), f"orders of before the copy: {ends}")


def restored(shop: Shop, copy: Path) -> str:
    """Lends the claim to a pod that takes the copy from its standard input; what that said."""
    pod = (DEPLOY / "restore.yaml").read_text().replace(f"{SHIPPED}:0.1.0", f"{GATEWAY}:1")
    shop.apply(pod)
    shop.kubectl("wait", "--for=condition=Ready", f"pod/{RESTORE}", "--timeout=120s")
    with open(copy, "rb") as file:
        attach = kubectl(shop, "attach", "-i", RESTORE)
        subprocess.run(attach, stdin=file, capture_output=True, timeout=120, check=False)
    shop.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{RESTORE}", "--timeout=60s", check=False)
    told = shop.kubectl("logs", RESTORE, check=False).stdout.strip()
    shop.kubectl("delete", "pod", RESTORE)
    return told


def kubectl(shop: Shop, *arguments: str) -> list[str]:
    node = shop.node
    return node.inside(node.kube, "kubectl", f"--kubeconfig={node.folder}/admin.conf", "-n", NAMESPACE, *arguments)
