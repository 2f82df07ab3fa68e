"""deploy/overlays/dapr: two gateways, each beside a real sidecar, and rollouts that nobody notices."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial

import yaml

from ..validation import injected
from ..validation.manifests import Manifests
from .configuration import ADDRESS
from .image import SIDECAR
from .render import dump, find, render, without
from .services import PASSWORD, POSTGRES, SCHEDULER, Services
from .shop import Shop
from .table import Row, Table

WORKLOAD = "deployment/wasmgate"

# Where the sidecar reads its resources: there is no operator here.
RESOURCES = "/resources"

DAPR = ("Component", "Subscription", "Resiliency", "Configuration")


def objects(shop: Shop) -> list[dict]:
    """The overlay's objects as the cluster gets them: Dapr's own in a ConfigMap, the pod as an injector leaves it."""
    rendered = render(shop.node, "overlays/dapr", "1")
    deployment = find(rendered, "Deployment")
    manifests = Manifests("overlays/dapr", rendered)
    token = next(each for each in manifests.container["env"] if each["name"] == "APP_API_TOKEN")
    spec = injected.pod_spec(manifests)
    spec["volumes"] = [*spec["volumes"], {"name": "resources", "configMap": {"name": "resources"}}]
    sidecar = spec["initContainers"][-1]
    sidecar["image"] = SIDECAR
    sidecar["args"] += ["--mode", "standalone", "--resources-path", RESOURCES, "--scheduler-host-address", SCHEDULER]
    sidecar["args"] += ["--config", f"{RESOURCES}/configuration.yaml"]
    sidecar["env"] += [token, {"name": "DAPR_HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    sidecar["volumeMounts"] = [{"name": "resources", "mountPath": RESOURCES}]
    gateway = next(each for each in spec["containers"] if each["name"] == "wasmgate")
    gateway["env"] = [*gateway["env"], {"name": "DAPR_HTTP_PORT", "value": str(injected.HTTP)}]
    deployment["spec"]["template"]["spec"] = spec
    files = {"resources.yaml": resources(rendered), "configuration.yaml": configuration(rendered)}
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "resources"}, "data": files}
    return [*without(rendered, *DAPR), kept]


def resources(rendered: list[dict]) -> str:
    """Components with the node's addresses and secrets."""
    text = dump([each for each in rendered if each["kind"] in DAPR and each["kind"] != "Configuration"])
    documents = list(yaml.safe_load_all(text.replace("redis-master:6379", f"{ADDRESS}:6379")))
    secrets = {"redis": PASSWORD, "postgresql": POSTGRES}
    for each in documents:
        for entry in each["spec"].get("metadata", []):
            if reference := entry.pop("secretKeyRef", None):
                entry["value"] = secrets[reference["name"]]
    return yaml.safe_dump_all(documents)


def configuration(rendered: list[dict]) -> str:
    """With names of apps that are asked of nobody: the pods of one app-id need no other."""
    found = find(rendered, "Configuration")
    names = {"component": "sqlite", "configuration": {"connectionString": ":memory:"}}
    return yaml.safe_dump({**found, "spec": {**found["spec"], "nameResolution": names}})


def run(shop: Shop, table: Table, services: Services, all_cases: bool) -> None:
    services.start()
    row = Row("`restricted` namespace, server-side apply of the injected overlay", "admitted without a warning")
    begun = time.monotonic()
    warned = shop.apply(dump(objects(shop)))
    shop.ready(WORKLOAD)
    row.tell(f"two pods ready {time.monotonic() - begun:.1f} s after the apply")
    row.need(not warned, warned)
    table.add(row)
    if not all_cases:
        return
    nobody = "0 failed, 0 refunded, lost or doubled"
    for rate in (6, 50):
        for name, happens in (("rollout", rollout), ("pod deleted", deleted)):
            table.attempt(f"overlay, {rate} orders/s: {name}", nobody, partial(disturbed, shop, rate, happens, False))
    refused = "refusals are 503; 0 acknowledged orders refunded, lost or doubled"
    for name, happens in (
        ("sidecar killed", sidecar_killed),
        ("Redis killed and started again", partial(restarted, services=services, name="redis")),
        ("PostgreSQL killed and started again", partial(restarted, services=services, name="postgres")),
    ):
        table.attempt(f"overlay, 6 orders/s: {name}", refused, partial(disturbed, shop, 6, happens, True))


def disturbed(shop: Shop, rate: int, happens: Callable[[Shop], None], refusals: bool, row: Row) -> None:
    """Orders at a rate while something happens. Without `refusals` none may be seen; with them, 503 alone."""
    shop.node.until("two pods that are ready", lambda: shop.settled(2))
    with shop.load(rate) as load:
        happens(shop)
        shop.node.until("two pods that are ready", lambda: shop.settled(2))
    failed = load.seen["failed"]
    begun = time.monotonic()
    ends = load.orders()
    row.tell(f"{len(load.seen['taken'])} taken, {len(failed)} failed, {ends}")
    row.tell(f"the slowest answer after {load.seen['slowest']:.1f} s")
    row.tell(f"all orders ended {time.monotonic() - begun:.0f} s later")
    other = [each for each in failed if not refusals or each.split()[1] != "503"]
    row.need(not other, f"{len(other)} failed, such as {other[:3]}")
    row.need(ends["fulfilled"] == len(load.seen["taken"]) and not ends["doubled"], f"acknowledged orders: {ends}")


def rollout(shop: Shop) -> None:
    shop.kubectl("rollout", "restart", WORKLOAD)
    shop.ready(WORKLOAD)


def deleted(shop: Shop) -> None:
    shop.kubectl("delete", "pod", shop.pods()[0]["metadata"]["name"])


def sidecar_killed(shop: Shop) -> None:
    pod = shop.pods()[0]
    os.kill(shop.process(pod, "daprd"), signal.SIGKILL)
    shop.node.until("a sidecar that was started again", lambda: shop.restarts())


def restarted(shop: Shop, services: Services, name: str) -> None:
    services.kill(name)
    time.sleep(2)
    {"redis": services.redis, "postgres": services.postgres}[name]()
