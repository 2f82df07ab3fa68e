"""That an event is tried to its end before anybody else gets it, and long before its order is given up:

one try < all tries and their pauses < processingTimeout < redelivered and tried again < ORDER_TIMEOUT
"""

from collections.abc import Iterator

from .dapr import components_of_folder, documents_of_folder
from .manifests import DRAIN, Manifests, milliseconds

# The package that takes orders.
COUNTER = "counter-api"

# `ORDER_TIMEOUT` of that package unless its `env` sets it: apps/counter-api/src/settings.rs.
ORDER_TIMEOUT = "30s"

# `limits.timeout` unless wasmgate.toml sets it.
REQUEST_TIMEOUT = "30s"

# Dapr's defaults for `exponential`: the first pause, how it grows, how far chance lengthens each, and the longest.
FIRST_MS, FACTOR, CHANCE, LONGEST = 500, 1.5, 1.5, "60s"

# Dapr's default for `constant`.
CONSTANT = "5s"

# How the embedded pub/sub retries unless a policy says otherwise, in ms: `BackOff::DELIVERY`.
EMBEDDED_PAUSES = [min(100 * 2**retry, 10_000) for retry in range(8)]

# How often a probe of the gateway's health has to fail, and how long each waits: the sidecar's defaults, in ms.
THRESHOLD, PROBE_TIMEOUT_MS = 3, 500


def check(manifests: Manifests, base: Manifests) -> Iterator[str]:
    """Everything about how long an event and its order take."""
    config = manifests.config()
    sidecar = config.get("dapr", {}).get("mode", "embedded") == "sidecar"
    policies = manifests.objects if sidecar else documents_of_folder(base)
    components = manifests.all("Component") if sidecar else components_of_folder(base)
    for name, package in orders(config):
        order_ms = milliseconds(package.get("env", {}).get("ORDER_TIMEOUT", ORDER_TIMEOUT))
        if request_ms(config, package) <= order_ms:
            yield (
                f"package {name}: limits.timeout ({request_ms(config, package)} ms) cuts off a client that follows an "
                f"order to its end, ORDER_TIMEOUT ({order_ms} ms)"
            )
        for component in components:
            if component["spec"]["type"].startswith("pubsub."):
                yield from of_pubsub(manifests, component, policies, order_ms, sidecar)
    yield from of_stations(config, components, policies)


def orders(config: dict) -> list[tuple[str, dict]]:
    """The packages that give orders up, whether or not they say after how long."""
    packages = config["package"].items()
    return [(name, each) for name, each in packages if name == COUNTER or "ORDER_TIMEOUT" in each.get("env", {})]


def of_pubsub(
    manifests: Manifests, component: dict, policies: list[dict], order_ms: int, sidecar: bool
) -> Iterator[str]:
    name = component["metadata"]["name"]
    once, pauses = inbound(name, policies, sidecar)
    if once is None:
        yield f"Resiliency: give the inbound deliveries of {name} a timeout; without one a delivery may take for ever"
        return
    if pauses is None:
        yield f"Resiliency: give the inbound deliveries of {name} a retry with maxRetries; they are retried for ever"
        return
    tries = once * (len(pauses) + 1) + round(sum(pauses))
    back = 0
    if component["spec"]["type"] == "pubsub.redis":
        metadata = {each["name"]: each.get("value") for each in component["spec"]["metadata"]}
        if missing := [key for key in ("processingTimeout", "redeliverInterval") if not metadata.get(key)]:
            yield f"{name}: say {' and '.join(missing)}, after which an event goes to another gateway"
            return
        processing = milliseconds(metadata["processingTimeout"])
        back = processing + milliseconds(metadata["redeliverInterval"])
        if tries >= processing:
            yield (
                f"{name}: an event is given to another after processingTimeout ({processing} ms), while it may still "
                f"be tried: all tries take up to {tries} ms"
            )
    if back + tries >= order_ms:
        yield (
            f"{name}: an event whose gateway was killed comes again after up to {back} ms and takes up to {tries} ms; "
            f"its order is given up after {order_ms} ms, ORDER_TIMEOUT"
        )
    noticed = noticed_ms(manifests) if sidecar else 0
    drain = milliseconds(manifests.config()["server"].get("drain_timeout", DRAIN))
    if sidecar and noticed + tries > drain:
        yield (
            f"{name}: the sidecar notices after {noticed} ms that the gateway ends, and all tries of what it delivers "
            f"then take up to {tries} ms; drain_timeout ({drain} ms) cuts them"
        )
    if sum(pauses) <= noticed:
        yield (
            f"{name}: an event becomes a dead letter after {round(sum(pauses))} ms of pauses, before the sidecar "
            f"notices that its gateway is gone ({noticed} ms)"
        )


def of_stations(config: dict, components: list[dict], policies: list[dict]) -> Iterator[str]:
    """A package without a route only handles deliveries: it ends when nobody waits for it any more."""
    routed = {route["package"] for route in config.get("route", [])}
    pubsubs = {each["metadata"]["name"] for each in components if each["spec"]["type"].startswith("pubsub.")}
    for name, package in config["package"].items():
        for topic in package.get("dapr", {}).get("subscribe", []) if name not in routed else []:
            pubsub = topic.split("/", 1)[0]
            once = timeout_ms(pubsub, policies) if pubsub in pubsubs else None
            if once is not None and request_ms(config, package) > once:
                yield (
                    f"package {name}: limits.timeout ({request_ms(config, package)} ms) outlives a delivery of "
                    f"{topic} ({once} ms): two may handle one event"
                )


def inbound(name: str, policies: list[dict], sidecar: bool) -> tuple[int | None, list[float] | None]:
    """How long one delivery may take, and the pauses between its tries, in ms; None where there is no bound."""
    pauses = None if sidecar else EMBEDDED_PAUSES
    for policy, target in targets(name, policies):
        if retry := policy.get("retries", {}).get(target.get("retry")):
            pauses = pauses_ms(retry)
    return timeout_ms(name, policies), pauses


def timeout_ms(name: str, policies: list[dict]) -> int | None:
    for policy, target in targets(name, policies):
        if timeout := policy.get("timeouts", {}).get(target.get("timeout")):
            return milliseconds(timeout)
    return None


def targets(name: str, policies: list[dict]) -> Iterator[tuple[dict, dict]]:
    for each in policies:
        if each.get("kind") == "Resiliency":
            of_component = each["spec"]["targets"].get("components", {}).get(name, {})
            yield each["spec"]["policies"], of_component.get("inbound", {})


def pauses_ms(retry: dict) -> list[float] | None:
    """The longest pauses of a policy, in ms; None if it never ends."""
    retries = retry.get("maxRetries", -1)
    if retries < 0:
        return None
    if retry["policy"] == "constant":
        return [milliseconds(retry.get("duration", CONSTANT))] * retries
    longest = milliseconds(retry.get("maxInterval", LONGEST))
    return [min(FIRST_MS * FACTOR**each, longest) * CHANCE for each in range(retries)]


def noticed_ms(manifests: Manifests) -> int:
    """How long it takes until the sidecar knows that its gateway is gone."""
    notes = manifests.annotations
    interval = 1000 * int(notes.get("dapr.io/app-health-probe-interval", 5))
    timeout = int(notes.get("dapr.io/app-health-probe-timeout", PROBE_TIMEOUT_MS))
    return int(notes.get("dapr.io/app-health-threshold", THRESHOLD)) * interval + timeout


def request_ms(config: dict, package: dict) -> int:
    timeout = package.get("limits", {}).get("timeout") or config.get("limits", {}).get("timeout", REQUEST_TIMEOUT)
    return milliseconds(timeout)
