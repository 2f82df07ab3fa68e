"""The namespace `shop` on the node: what is deployed there, who calls it, and what becomes of the orders."""

import json
import subprocess
import sys
import time
from pathlib import Path

from .node import Node

HERE = Path(__file__).resolve().parent
NAMESPACE = "shop"

# A start on a busy machine, and the longest way of an order: redelivered twice, and its own time-out not reached.
READY = "300s"
ORDERS_S = 150

# Seconds of load before and after something happens.
AROUND_S = 3

# Answers in a row by which the Service leads to nobody who is gone.
ANSWERS = 10


class Shop:
    """The namespace, asked and changed by kubectl."""

    def __init__(self, node: Node, namespace: str = NAMESPACE, name: str = "wasmgate") -> None:
        self.node, self.namespace, self.name = node, namespace, name

    def kubectl(self, *arguments: str, **options: object) -> subprocess.CompletedProcess:
        return self.node.kubectl("-n", self.namespace, *arguments, **options)

    def make(self) -> None:
        """The namespace takes what `restricted` takes, and warns of nothing less."""
        self.node.kubectl("create", "namespace", self.namespace)
        levels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn", "audit")]
        self.node.kubectl("label", "namespace", self.namespace, *levels)
        ready = lambda: self.kubectl("get", "serviceaccount", "default", check=False).returncode == 0
        self.node.until("the namespace's account", ready)

    def apply(self, text: str) -> str:
        """Applies objects by the server; answers with what it warned of."""
        return self.kubectl("apply", "--server-side", "-f", "-", text=text).stderr.strip()

    def ready(self, workload: str) -> None:
        self.kubectl("rollout", "status", workload, f"--timeout={READY}")

    def pods(self) -> list[dict]:
        """The gateway's pods that are not on their way out."""
        found = json.loads(self.kubectl("get", "pods", "-l", f"app.kubernetes.io/name={self.name}", "-o", "json").stdout)["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def settled(self, replicas: int) -> bool:
        """As many pods as there should be, all ready, and none that ends."""
        found = json.loads(self.kubectl("get", "pods", "-l", f"app.kubernetes.io/name={self.name}", "-o", "json").stdout)["items"]
        stays = lambda each: "deletionTimestamp" not in each["metadata"] and condition(each, "Ready")
        return len(found) == replicas and all(map(stays, found))

    def restarts(self) -> int:
        statuses = [each["status"] for each in self.pods()]
        kinds = ("containerStatuses", "initContainerStatuses")
        return sum(one["restartCount"] for status in statuses for kind in kinds for one in status.get(kind, []))

    def process(self, pod: dict, container: str) -> int:
        """The id of a container's process on this machine."""
        statuses = pod["status"]["containerStatuses"] + pod["status"].get("initContainerStatuses", [])
        wanted = next(each for each in statuses if each["name"] == container)["containerID"].rpartition("/")[2]
        for line in self.node.ctr("tasks", "ls").splitlines():
            if line.startswith(wanted):
                return int(line.split()[1])
        raise RuntimeError(f"{pod['metadata']['name']} has no process for {container}")

    def url(self) -> str:
        address = self.kubectl("get", "service", self.name, "-o", "jsonpath={.spec.clusterIP}").stdout
        return f"http://{address}:80"

    def admin(self, pod: dict, path: str) -> str:
        """What a pod's admin listener answers."""
        url = f"http://{pod['status']['podIP']}:9090{path}"
        command = self.node.inside("curl", "-s", "-m", "5", "-H", "accept: application/json", url)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def load(self, rate: float, page: str = "/hello") -> "Load":
        """Clients that place so many orders a second, and somebody who asks for a page."""
        return Load(self, rate, page)


class Load:
    """Clients at work in the cluster's network while something happens."""

    def __init__(self, shop: Shop, rate: float, page: str) -> None:
        self.shop, self.seen = shop, {}
        self.command = shop.node.inside(sys.executable, HERE / "load.py", shop.url())
        self.page = page
        self.rate = rate

    def go_on(self, seconds: float) -> None:
        """Keeps the clients at work for so long."""
        time.sleep(seconds)

    def leads(self) -> bool:
        """Whether the Service leads to pods that answer: the node's rules may be those of a moment ago."""
        ask = ("curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", f"{self.shop.url()}{self.page}")
        command = self.shop.node.inside(*ask)
        answers = (subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(ANSWERS))
        return all(each.stdout == "200" for each in answers)

    def __enter__(self) -> "Load":
        self.shop.node.until("a Service that leads to its pods", self.leads)
        self.process = subprocess.Popen(
            [*self.command, str(self.rate), self.page], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        time.sleep(AROUND_S)
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(AROUND_S)
        out, _ = self.process.communicate("")
        self.seen = json.loads(out) if out else {}

    def orders(self) -> dict:
        """What became of the orders that were acknowledged."""
        asked = subprocess.run(
            [*self.command, "ends", str(ORDERS_S)],
            input=json.dumps(self.seen["taken"]),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(asked.stdout)


def condition(pod: dict, kind: str) -> bool:
    return any(each["type"] == kind and each["status"] == "True" for each in pod["status"].get("conditions", []))
