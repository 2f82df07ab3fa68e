"""The pod as Dapr 1.18's injector leaves it: the sidecar that the annotations ask for, beside the gateway."""

from .manifests import Manifests

# Helm values of Dapr that deploy/README.md asks for: with the default of the first, `restricted` refuses the pod.
DROP_ALL_CAPABILITIES = True

# The sidecar's ports unless annotations say otherwise.
HTTP, PUBLIC, GRPC, INTERNAL, METRICS = 3500, 3501, 50001, 50002, 9090

PREFIX = "dapr.io/"


def pod_spec(manifests: Manifests) -> dict:
    """The spec of the pod with its sidecar: a native one is an init container that goes on and ends last."""
    spec = dict(manifests.pod["spec"])
    if manifests.annotations.get(f"{PREFIX}enabled") != "true":
        return spec
    container = sidecar(manifests.annotations)
    native = manifests.annotations.get(f"{PREFIX}enable-native-sidecar") == "true"
    place = "initContainers" if native else "containers"
    spec[place] = [*spec.get(place, []), {**container, "restartPolicy": "Always"} if native else container]
    return spec


def sidecar(annotations: dict) -> dict:
    """The container, with its arguments in the injector's order where that matters to nobody."""
    note = lambda name, default: annotations.get(PREFIX + name, default)
    metrics = int(note("metrics-port", METRICS))
    container = {
        "name": "daprd",
        "image": "daprd",
        "args": ["/daprd", *arguments(annotations, metrics)],
        "ports": [
            {"containerPort": port, "name": f"dapr-{name}"}
            for port, name in ((HTTP, "http"), (GRPC, "grpc"), (INTERNAL, "internal"), (metrics, "metrics"))
        ],
        "env": [{"name": "NAMESPACE", "value": "shop"}],
        "securityContext": context(annotations),
        "readinessProbe": probe(initialDelaySeconds=1, timeoutSeconds=1, periodSeconds=1, failureThreshold=5),
        "livenessProbe": probe(initialDelaySeconds=180, timeoutSeconds=3, periodSeconds=10, failureThreshold=5),
    }
    resources: dict = {}
    for kind, place in (("request", "requests"), ("limit", "limits")):
        for what in ("cpu", "memory"):
            if value := note(f"sidecar-{what}-{kind}", None):
                resources.setdefault(place, {})[what] = value
    return {**container, "resources": resources}


def arguments(annotations: dict, metrics: int) -> list[str]:
    note = lambda name, default: annotations.get(PREFIX + name, default)
    given = {
        "dapr-http-port": HTTP,
        "dapr-grpc-port": GRPC,
        "dapr-internal-grpc-port": INTERNAL,
        "dapr-listen-addresses": note("sidecar-listen-addresses", "[::1],127.0.0.1"),
        "dapr-public-port": PUBLIC,
        "app-id": note("app-id", ""),
        "app-protocol": note("app-protocol", "http"),
        "dapr-graceful-shutdown-seconds": note("graceful-shutdown-seconds", "-1"),
        "app-port": note("app-port", ""),
        "metrics-port": metrics,
    }
    if note("enable-app-health-check", "false") == "true":
        given |= {
            "app-health-check-path": note("app-health-check-path", "/healthz"),
            "app-health-probe-interval": note("app-health-probe-interval", "5"),
            "app-health-probe-timeout": note("app-health-probe-timeout", "500"),
            "app-health-threshold": note("app-health-threshold", "3"),
        }
    if block := note("block-shutdown-duration", None):
        given["dapr-block-shutdown-duration"] = block
    flags = ["--enable-metrics"]
    if note("enable-app-health-check", "false") == "true":
        flags.append("--enable-app-health-check")
    return [part for name, value in given.items() for part in (f"--{name}", str(value))] + flags


def context(annotations: dict) -> dict:
    closed = {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "readOnlyRootFilesystem": True}
    if profile := annotations.get(f"{PREFIX}sidecar-seccomp-profile-type"):
        closed["seccompProfile"] = {"type": profile}
    if DROP_ALL_CAPABILITIES:
        closed["capabilities"] = {"drop": ["ALL"]}
    return closed


def probe(**numbers: int) -> dict:
    return {"httpGet": {"path": "/v1.0/healthz", "port": PUBLIC}, **numbers}
