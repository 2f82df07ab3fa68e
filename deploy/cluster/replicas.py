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
from .table import Row, Table, slowness

WORKLOAD = "deployment/wasmgate"

# Where the sidecar reads its resources: there is no operator here.
RESOURCES = "/resources"

# The time after which nobody is refused any more, once what was away is back.
BACK_S = 5.0

DAPR = ("Component", "Subscription", "Resiliency", "Configuration")


def objects(shop: Shop, tag: str = "1") -> list[dict]:
    """The overlay's objects as the cluster gets them: Dapr's own in a ConfigMap, the pod as an injector leaves it."""
    rendered = render(shop.node, "overlays/dapr", tag)
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
    case = "overlay, 6 orders/s: packages updated by another image"
    table.attempt(case, nobody, partial(disturbed, shop, 6, updated, False))
    refused = (
        f"refusals are 503 with Retry-After and end ≤ {BACK_S:.0f} s after it is back; "
        "0 acknowledged orders refunded, lost or doubled"
    )
    for name, happens in (
        ("sidecar killed", sidecar_killed),
        ("Redis killed and started again", partial(restarted, services=services, name="redis")),
        ("PostgreSQL killed and started again", partial(restarted, services=services, name="postgres")),
    ):
        table.attempt(f"overlay, 6 orders/s: {name}", refused, partial(disturbed, shop, 6, happens, True))


def disturbed(shop: Shop, rate: int, happens: Callable[[Shop], float], refusals: bool, row: Row) -> None:
    """Orders at a rate while something happens, which answers with the time at which it was over. Without `refusals` none
    may be seen; with them, 503 alone, and soon no more."""
    shop.node.until("two pods that are ready", lambda: shop.settled(2))
    with shop.load(rate) as load:
        back = happens(shop)
        shop.node.until("two pods that are ready", lambda: shop.settled(2))
        load.go_on(BACK_S if refusals else 0)
    failed = load.seen["failed"]
    begun = time.monotonic()
    ends = load.orders()
    slow = slowness()
    row.tell(f"{len(load.seen['taken'])} taken, {len(failed)} failed, {ends}")
    row.tell(f"half of the answers within {load.seen['median']:.2f} s, the slowest after {load.seen['slowest']:.1f} s")
    if slow > 2:
        row.tell(f"on a machine that is {slow:.0f} times too busy")
    row.tell(f"all orders ended {time.monotonic() - begun:.0f} s later")
    proper = lambda each: each["status"] == 503 and (each["retry_after"] or "").isdigit()
    other = [each for each in failed if not (refusals and proper(each))]
    row.need(not other, f"{len(other)} failed, such as {other[:3]}")
    if refusals and failed:
        last = max(each["ended"] for each in failed) - back
        row.tell(f"the last refusal {last:+.1f} s from when it was back")
        row.need(last <= BACK_S * slow, f"refusals went on for {last:.1f} s")
    row.need(ends["fulfilled"] == len(load.seen["taken"]) and not ends["doubled"], f"acknowledged orders: {ends}")


def rollout(shop: Shop) -> float:
    shop.kubectl("rollout", "restart", WORKLOAD)
    shop.ready(WORKLOAD)
    return time.time()


def updated(shop: Shop) -> float:
    shop.apply(dump(objects(shop, "2")))
    shop.ready(WORKLOAD)
    images = {each["image"] for pod in shop.pods() for each in pod["spec"]["containers"]}
    if not any(image.endswith(":2") for image in images):
        raise RuntimeError(f"the pods have {images}")
    return time.time()


def deleted(shop: Shop) -> float:
    shop.kubectl("delete", "pod", shop.pods()[0]["metadata"]["name"])
    return time.time()


def sidecar_killed(shop: Shop) -> float:
    pod = shop.pods()[0]
    before = shop.restarts()
    os.kill(shop.process(pod, "daprd"), signal.SIGKILL)
    shop.node.until("a sidecar that was started again", lambda: shop.restarts() > before)
    # The kubelet has started it, and it reads its components: it is back when it says so.
    shop.node.until("two pods that are ready", lambda: shop.settled(2))
    return time.time()


def restarted(shop: Shop, services: Services, name: str) -> float:
    services.kill(name)
    time.sleep(2)
    {"redis": services.redis, "postgres": services.postgres}[name]()
    shop.node.until(f"{name}, which was started again", lambda: services.answers(name))
    return time.time()
