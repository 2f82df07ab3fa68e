"""Dapr's resources and annotations against the wasmgate.toml they serve."""

from collections.abc import Iterator

import yaml

from .manifests import Manifests, milliseconds, port
from .schemas import of_dapr

# What the sidecar listens on in the pod's network: its HTTP API, probes, gRPC API, and other sidecars.
SIDECAR_PORTS = {3500, 3501, 50001, 50002}

# Where the sidecar serves its metrics unless told otherwise.
SIDECAR_METRICS = 9090

# What the sidecar asks to know whether the gateway is there, and the gateway answers without a token.
HEALTH = "/healthz"

# The stores of which it was tried that a transaction happens as a whole or not at all, whatever fails in it, and that
# what `create` meets, it leaves alone. `state.redis` does neither.
STORES = {("state.postgresql", "v2"), ("state.sqlite", "v1")}

# What these components take, from their `metadata.yaml` in Dapr 1.18, as far as deployments need it.
METADATA = {
    ("state.postgresql", "v2"): {
        *("connectionString", "host", "port", "database", "user", "password", "sslRootCert", "queryExecMode"),
        *("tablePrefix", "metadataTableName", "timeout", "maxConns", "connectionMaxIdleTime", "cleanupInterval"),
        *("keyPrefix", "outboxPublishPubsub", "outboxPublishTopic", "outboxPubsub"),
    },
    ("pubsub.redis", "v1"): {
        *("redisHost", "redisUsername", "redisPassword", "redisDB", "redisType", "enableTLS", "failover"),
        *("sentinelMasterName", "consumerID", "processingTimeout", "redeliverInterval", "queueDepth", "concurrency"),
        *("maxLenApprox", "allowedTopics", "protectedTopics", "publishingScopes", "subscriptionScopes"),
    },
}

# The route on which the gateway takes events for all its packages.
EVENTS = "/wasmgate-events"


def check(manifests: Manifests, base: Manifests) -> Iterator[str]:
    """Everything about Dapr; `base` has the component files that the sidecar's components must match."""
    config = manifests.config()
    sidecar = config.get("dapr", {}).get("mode", "embedded") == "sidecar"
    if sidecar != (manifests.annotations.get("dapr.io/enabled") == "true"):
        yield "dapr.mode and the annotation dapr.io/enabled disagree about a sidecar"
        return
    embedded = components_of_folder(base)
    if not sidecar:
        for each in documents_of_folder(base):
            yield from (f"component file {each['metadata']['name']}: {problem}" for problem in of_dapr(each))
        yield from targets(documents_of_folder(base), embedded)
        yield from grants(config, embedded, None)
        return
    yield from annotations(manifests, config)
    yield from token(manifests)
    app_id = manifests.annotations.get("dapr.io/app-id")
    components = manifests.all("Component")
    yield from same_names(components, embedded)
    yield from grants(config, components, app_id)
    yield from subscriptions(manifests, config)
    for kind in ("Component", "Subscription", "Resiliency"):
        for each in manifests.all(kind):
            if each.get("scopes") != [app_id]:
                yield f"{kind} {each['metadata']['name']}: scopes {each.get('scopes')}; write [{app_id}]"
    yield from targets(manifests.all("Resiliency"), components)
    yield from stores(components)
    yield from metadata(components)


def components_of_folder(base: Manifests) -> list[dict]:
    return [each for each in documents_of_folder(base) if each["kind"] == "Component"]


def documents_of_folder(base: Manifests) -> list[dict]:
    """Everything in the embedded runtime's folder of Dapr resources."""
    volumes = base.pod["spec"]["volumes"]
    name = next(each for each in volumes if each["name"] == "components")["configMap"]["name"]
    files = base.find("ConfigMap", name)["data"].values()
    return [each for file in files for each in yaml.safe_load_all(file) if each]


def targets(documents: list[dict], components: list[dict]) -> Iterator[str]:
    """Every policy and component that a Resiliency names exists."""
    names = {each["metadata"]["name"] for each in components}
    for each in documents:
        if each["kind"] != "Resiliency":
            continue
        policies = each["spec"]["policies"]
        for target, directions in each["spec"]["targets"].get("components", {}).items():
            if target not in names:
                yield f"Resiliency {each['metadata']['name']}: there is no component {target}"
            for named in directions.values():
                for kind in named.keys() - {"circuitBreaker"}:
                    known = policies.get({"timeout": "timeouts", "retry": "retries"}[kind], {})
                    if named[kind] not in known:
                        yield f"Resiliency {each['metadata']['name']}: {target}: there is no {kind} {named[kind]}"


def stores(components: list[dict]) -> Iterator[str]:
    """What packages may rely on, the store keeps: deploy/README.md, "Which stores keep the SDK's guarantees"."""
    for each in components:
        kind = (each["spec"]["type"], each["spec"]["version"])
        if kind[0].startswith("state.") and kind not in STORES:
            known = " or ".join(f"{name} {version}" for name, version in sorted(STORES))
            yield (
                f"component {each['metadata']['name']}: {kind[0]} {kind[1]} is not known to do a transaction as a "
                f"whole or not at all; take {known}"
            )


def metadata(components: list[dict]) -> Iterator[str]:
    """A component ignores what it does not know, so a misspelt name would do nothing."""
    for each in components:
        known = METADATA.get((each["spec"]["type"], each["spec"]["version"]))
        for entry in each["spec"]["metadata"] if known else []:
            if entry["name"] not in known:
                yield f"component {each['metadata']['name']}: {each['spec']['type']} has no metadata {entry['name']}"


def annotations(manifests: Manifests, config: dict) -> Iterator[str]:
    notes = manifests.annotations
    callbacks = config["dapr"].get("listen", "127.0.0.1:3001")
    if notes.get("dapr.io/app-port") != str(port(callbacks)):
        yield f"dapr.io/app-port is {notes.get('dapr.io/app-port')}, dapr.listen {callbacks}"
    if not callbacks.startswith("127.0.0.1:"):
        yield f"dapr.listen is {callbacks}: beyond the pod's loopback anyone could deliver events"
    if notes.get("dapr.io/app-protocol", "http") != "http":
        yield f"dapr.io/app-protocol is {notes['dapr.io/app-protocol']}; the gateway's callbacks are http"
    if not manifests.find("Configuration", notes.get("dapr.io/config")):
        yield f"dapr.io/config: there is no Configuration {notes.get('dapr.io/config')}"
    metrics = int(notes.get("dapr.io/metrics-port", SIDECAR_METRICS))
    for address in (config["server"]["listen"], config["server"]["admin"], callbacks):
        if port(address) in SIDECAR_PORTS | {metrics}:
            yield f"the sidecar takes port {port(address)} too; see dapr.io/metrics-port"
    block = milliseconds(notes.get("dapr.io/block-shutdown-duration", "0s"))
    graceful = 1000 * int(notes.get("dapr.io/graceful-shutdown-seconds", 5))
    health = (notes.get("dapr.io/enable-app-health-check"), notes.get("dapr.io/app-health-check-path"))
    if health != ("true", HEALTH):
        yield f"dapr.io/app-health-check is {health}: without a gateway the sidecar goes on taking events; ask {HEALTH}"
    if notes.get("dapr.io/enable-native-sidecar") != "true":
        yield (
            "dapr.io/enable-native-sidecar: the sidecar ends as soon as the gateway's checks fail, which they do from "
            "SIGTERM on, and requests in flight lose it; write true"
        )
    ended = manifests.leave_ms + block + graceful
    if ended > manifests.grace_ms:
        yield (
            f"the sidecar, which ends after the gateway, may take until {ended} ms (with "
            f"dapr.io/block-shutdown-duration of {block} ms); the pod is killed after {manifests.grace_ms} ms"
        )


def token(manifests: Manifests) -> Iterator[str]:
    """Sidecar and gateway have the same secret, under the key that the injector reads."""
    name = manifests.annotations.get("dapr.io/app-token-secret")
    environment = {each["name"]: each for each in manifests.container.get("env", [])}
    reference = environment.get("APP_API_TOKEN", {}).get("valueFrom", {}).get("secretKeyRef", {})
    if not manifests.find("Secret", name):
        yield f"dapr.io/app-token-secret: there is no secret {name}"
    if (reference.get("name"), reference.get("key")) != (name, "token"):
        yield f"APP_API_TOKEN is {reference}; take the key token of {name}, as the sidecar does"


def same_names(components: list[dict], embedded: list[dict]) -> Iterator[str]:
    """A guest finds the same stores in both: same name, same building block."""

    def blocks(of: list[dict]) -> set[tuple[str, str]]:
        return {(each["metadata"]["name"], each["spec"]["type"].split(".")[0]) for each in of}

    for name, block in sorted(blocks(components) ^ blocks(embedded)):
        yield f"component {name} ({block}) is in only one of base/components and the overlay"


def grants(config: dict, components: list[dict], app_id: str | None) -> Iterator[str]:
    """What packages may use exists and is theirs: by the app-id they share, or each by its own."""
    by_name = {each["metadata"]["name"]: each for each in components}
    packages = config["package"]
    for name, package in packages.items():
        granted = package.get("dapr", {})
        used = [("state", store, None) for store in granted.get("state", [])]
        used += [("pubsub", *each.split("/", 1)) for key in ("publish", "subscribe") for each in granted.get(key, [])]
        for block, component, topic in used:
            found = by_name.get(component)
            if not found or not found["spec"]["type"].startswith(f"{block}."):
                yield f"package {name}: there is no {block} component {component}"
                continue
            if (app_id or name) not in found["scopes"]:
                yield f"package {name}: {component} is not in its scopes"
            metadata = {each["name"]: each.get("value") for each in found["spec"]["metadata"]}
            allowed = metadata.get("allowedTopics")
            if allowed and topic not in allowed.split(","):
                yield f"package {name}: {component} does not allow the topic {topic}"
        for app in granted.get("invoke", []):
            if app not in packages:
                yield f"package {name}: there is no package {app} to invoke"
    for each in components if app_id is None else []:
        for scope in set(each["scopes"]) - packages.keys():
            yield f"component {each['metadata']['name']}: scope {scope} is no package"


def subscriptions(manifests: Manifests, config: dict) -> Iterator[str]:
    """Every topic that a package may subscribe to is declared, with the route on which the gateway takes it."""
    packages = config["package"].values()
    granted = {topic for each in packages for topic in each.get("dapr", {}).get("subscribe", [])}
    declared = set()
    for each in manifests.all("Subscription"):
        spec = each["spec"]
        topic = f"{spec['pubsubname']}/{spec['topic']}"
        declared.add(topic)
        if spec["routes"] != {"default": f"{EVENTS}/{topic}"}:
            yield f"Subscription {each['metadata']['name']}: routes {spec['routes']}; write {EVENTS}/{topic}"
    for topic in sorted(granted ^ declared):
        where = "no package may subscribe to it" if topic in declared else "there is no Subscription"
        yield f"topic {topic}: {where}"
