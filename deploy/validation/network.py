"""Who reaches what: Service, Ingress and NetworkPolicy against the listeners and routes of wasmgate.toml."""

from collections.abc import Iterator

from .manifests import Manifests

# What packages serve to Dapr and nobody else: its questions, jobs, changes of configuration, and the gateway's own
# route for events.
INTERNAL = ("/dapr", "/job", "/configuration", "/wasmgate-events")


def check(manifests: Manifests) -> Iterator[str]:
    """Everything about the way to the pod."""
    yield from selectors(manifests)
    yield from service(manifests)
    yield from ingress(manifests, manifests.config())
    yield from policy(manifests)
    yield from autoscaler(manifests)


def selectors(manifests: Manifests) -> Iterator[str]:
    """Each finds the pod; an empty one finds every pod or none, depending on the kind."""
    labels = manifests.pod["metadata"]["labels"].items()
    workload = manifests.workload
    found = [(workload["kind"], workload["spec"].get("selector", {}).get("matchLabels"))]
    found += [("Service", each["spec"].get("selector")) for each in manifests.all("Service")]
    found += [
        ("PodDisruptionBudget", each["spec"].get("selector", {}).get("matchLabels"))
        for each in manifests.all("PodDisruptionBudget")
    ]
    found += [
        ("NetworkPolicy", each["spec"].get("podSelector", {}).get("matchLabels"))
        for each in manifests.all("NetworkPolicy")
    ]
    found += [
        ("topologySpreadConstraints", each.get("labelSelector", {}).get("matchLabels"))
        for each in manifests.pod["spec"].get("topologySpreadConstraints", [])
    ]
    for kind, selector in found:
        if not selector or not selector.items() <= labels:
            yield f"{kind}: its selector {selector} does not select the pod's labels"
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        if not manifests.all(kind):
            yield f"there is no {kind}"


def service(manifests: Manifests) -> Iterator[str]:
    """The public listener is all that has a Service, not the sidecar; the admin listener has one without an address."""
    for each in manifests.all("Service"):
        name = each["metadata"]["name"]
        if name.endswith("-metrics"):
            yield from metrics(each)
            continue
        for port in each["spec"]["ports"]:
            if port.get("targetPort") not in ("http", manifests.ports["http"]):
                yield f"Service {each['metadata']['name']} leads to {port.get('targetPort')}; only http is public"


def metrics(service: dict) -> Iterator[str]:
    """The Service of the metrics: for Prometheus to find the pods by, and no way to them."""
    name, spec = service["metadata"]["name"], service["spec"]
    if spec.get("clusterIP") != "None" or spec.get("type", "ClusterIP") != "ClusterIP":
        yield f"Service {name} has an address, by which the admin listener is reached; write clusterIP None"
    if not spec.get("publishNotReadyAddresses"):
        yield f"Service {name} hides pods that are not ready, which alerts are about: write publishNotReadyAddresses"
    if [port.get("targetPort") for port in spec["ports"]] != ["admin"]:
        yield f"Service {name} leads elsewhere than to admin"


def ingress(manifests: Manifests, config: dict) -> Iterator[str]:
    routes = [each["path"] for each in config.get("route", [])]
    for path in routes:
        if path.startswith(INTERNAL):
            yield f"route {path} makes public what is Dapr's alone; remove it"
    public = set()
    for each in manifests.all("HTTPRoute"):
        yield from route(manifests, each)
        public |= set(prefixes(each))
    for each in manifests.all("Ingress"):
        for rule in each["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                public.add(path["path"])
                if path["path"].startswith(INTERNAL):
                    yield f"Ingress path {path['path']} makes public what is Dapr's alone; remove it"
                if path["pathType"] != "Prefix":
                    yield f"Ingress path {path['path']} is {path['pathType']}; the gateway's prefixes are Prefix"
                yield from backend(manifests, path)
    for path in sorted(public):
        if not any(below(each, path) for each in routes):
            yield f"public path {path}: wasmgate.toml has no route for it"
    for each in routes:
        if public and not any(below(each, path) for path in public):
            yield f"route {each}: neither an Ingress nor an HTTPRoute leads to it"


def below(route: str, prefix: str) -> bool:
    """Whether a route is under a prefix, as Kubernetes has it: by whole parts of a path."""
    return route == prefix or route.startswith(f"{prefix.rstrip('/')}/")


def prefixes(route: dict) -> list[str]:
    return [match["path"]["value"] for rule in route["spec"]["rules"] for match in rule["matches"]]


def route(manifests: Manifests, each: dict) -> Iterator[str]:
    """An HTTPRoute has the prefixes of an Ingress, and leads to a port of a Service."""
    for rule in each["spec"]["rules"]:
        for match in rule["matches"]:
            if match["path"]["type"] != "PathPrefix":
                yield f"HTTPRoute path {match['path']['value']} is {match['path']['type']}; write PathPrefix"
        for backend in rule["backendRefs"]:
            found = manifests.find("Service", backend["name"])
            if not found or backend["port"] not in [port["port"] for port in found["spec"]["ports"]]:
                yield f"HTTPRoute leads to {backend['name']}:{backend['port']}, which does not exist"
    if manifests.all("Ingress"):
        yield "an Ingress and an HTTPRoute lead to the gateway; keep one"


def autoscaler(manifests: Manifests) -> Iterator[str]:
    """It scales the pods there are, has two at least, and nobody else says how many."""
    for each in manifests.all("HorizontalPodAutoscaler"):
        target, workload = each["spec"]["scaleTargetRef"], manifests.workload
        if (target["kind"], target["name"]) != (workload["kind"], workload["metadata"]["name"]):
            yield f"HorizontalPodAutoscaler scales {target['kind']} {target['name']}, which does not exist"
        if each["spec"].get("minReplicas", 1) < 2:
            yield "HorizontalPodAutoscaler: minReplicas below 2 leaves nobody while one pod goes"
        if "replicas" in workload["spec"]:
            yield "replicas and a HorizontalPodAutoscaler: each apply would undo the other; remove replicas"


def backend(manifests: Manifests, path: dict) -> Iterator[str]:
    wanted = path["backend"]["service"]
    found = manifests.find("Service", wanted["name"])
    names = {each["name"] for each in found["spec"]["ports"]} if found else set()
    if wanted["port"].get("name") not in names:
        yield f"Ingress path {path['path']} leads to {wanted['name']}:{wanted['port']}, which does not exist"


def policy(manifests: Manifests) -> Iterator[str]:
    """Only the public listener is open to everyone."""
    for each in manifests.all("NetworkPolicy"):
        for rule in each["spec"].get("ingress", []):
            ports = [port["port"] for port in rule.get("ports", [])]
            if not rule.get("from") and ports != ["http"]:
                what = ports or "every port"
                yield f"NetworkPolicy {each['metadata']['name']} opens {what} to everyone; say from where"
