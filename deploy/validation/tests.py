"""The checks can fail: one thing broken at a time, each is seen and its place is named."""

import copy
import shutil
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from . import alerts, dapr, gateway, helm, image, network, pod, schemas, settings, timing
from .manifests import DEPLOY, Manifests, render, shipped

BASE = render(DEPLOY / "base")
DAPR = render(DEPLOY / "overlays/dapr")
SCALED = render(DEPLOY / "overlays/dapr", "httproute", "autoscaling")
TLS = render(DEPLOY / "base", "tls")
MONITORED = render(DEPLOY / "base", "monitoring")
DOCKERFILE = image.DOCKERFILE.read_text()

Break = Callable[[Manifests], object]


def toml(old: str, new: str) -> Break:
    """Changes the wasmgate.toml that the pod gets."""

    def change(manifests: Manifests) -> None:
        for config in manifests.all("ConfigMap"):
            text = config["data"].get("wasmgate.toml", "")
            config["data"].update({"wasmgate.toml": text.replace(old, new)} if old in text else {})

    return change


def put(path: str, value: object, of: Callable[[Manifests], dict] = lambda m: m.container) -> Break:
    """Sets what a path of keys leads to; None removes it."""

    def change(manifests: Manifests) -> None:
        at, keys = of(manifests), path.split("/")
        for key in keys[:-1]:
            at = at[int(key)] if isinstance(at, list) else at[key]
        last = int(keys[-1]) if isinstance(at, list) else keys[-1]
        if value is None:
            del at[last]
        else:
            at[last] = value

    return change


def spec(kind: str, name: str = "wasmgate") -> Callable[[Manifests], dict]:
    return lambda manifests: manifests.find(kind, name)["spec"]


def pod_spec(manifests: Manifests) -> dict:
    return manifests.pod["spec"]


def config_map(manifests: Manifests) -> dict:
    return next(each for each in manifests.all("ConfigMap") if "wasmgate.toml" in each["data"])


def note(name: str, value: object) -> Break:
    def change(manifests: Manifests) -> None:
        manifests.annotations.pop(f"dapr.io/{name}")
        if value is not None:
            manifests.annotations[f"dapr.io/{name}"] = value

    return change


SHAPE = [
    ("an unknown field", BASE, put("replica", 1, spec("StatefulSet")), "replica"),
    ("a text for a number", BASE, put("ports/0/containerPort", "http"), "containerPort"),
    (
        "an apiVersion that is gone",
        BASE,
        lambda m: m.all("Ingress")[0].update(apiVersion="networking.k8s.io/v1beta1"),
        "Ingress",
    ),
    ("a namespace", BASE, lambda m: m.workload["metadata"].update(namespace="shop"), "namespace"),
    ("two objects of one name", BASE, lambda m: m.objects.append(m.workload), "StatefulSet"),
    ("a Component without a version", DAPR, put("version", None, spec("Component", "statestore")), "version"),
    (
        "a misspelt field of Dapr",
        DAPR,
        put("deadletterTopic", "x", spec("Subscription", "baristaorderplaced")),
        "deadletterTopic",
    ),
    ("an unknown kind of Dapr", DAPR, lambda m: m.all("Resiliency")[0].update(kind="Resilience"), "Resilience"),
    ("a Component for everyone", DAPR, lambda m: m.find("Component", "statestore").pop("scopes"), "scopes"),
]

POD = [
    ("another listener than the port", BASE, toml("0.0.0.0:3000", "0.0.0.0:3001"), "server.listen"),
    ("a listener for the pod alone", BASE, toml("0.0.0.0:3000", "127.0.0.1:3000"), "server.listen"),
    ("another admin listener than the probes ask", BASE, toml("0.0.0.0:9090", "0.0.0.0:9099"), "server.admin"),
    ("a probe on the public port", BASE, put("livenessProbe/httpGet/port", "http"), "livenessProbe"),
    ("a liveness that depends on others", BASE, put("livenessProbe/httpGet/path", "/readyz"), "livenessProbe"),
    ("no startup probe", BASE, put("startupProbe", None), "startupProbe"),
    (
        "a grace period no longer than the drain",
        BASE,
        put("terminationGracePeriodSeconds", 35, pod_spec),
        "terminationGracePeriodSeconds",
    ),
    (
        "the default grace period",
        BASE,
        put("terminationGracePeriodSeconds", None, pod_spec),
        "terminationGracePeriodSeconds",
    ),
    ("a longer drain", BASE, toml('drain_timeout = "30s"', 'drain_timeout = "1m"'), "terminationGracePeriodSeconds"),
    ("no preStop", BASE, put("lifecycle", None), "preStop"),
    ("a cache that is the mount itself", BASE, toml("/var/cache/wasmgate/code", "/var/cache/wasmgate"), "server.cache"),
    ("a cache on the read-only root", BASE, toml("/var/cache/wasmgate/code", "/packages/cache"), "server.cache"),
    ("data on the read-only root", BASE, toml("/var/lib/wasmgate/dapr", "/data/dapr"), "dapr.data"),
    ("data that dies with the pod", BASE, toml("/var/lib/wasmgate/dapr", "/tmp/dapr"), "PersistentVolumeClaim"),
    ("two gateways on one disk", BASE, put("replicas", 2, spec("StatefulSet")), "replicas"),
    ("a disk that two pods share for a while", BASE, lambda m: m.workload.update(kind="Deployment"), "StatefulSet"),
    ("a rollout with a gap for nothing", DAPR, lambda m: m.workload.update(kind="StatefulSet"), "write a Deployment"),
    ("a rollout that cannot be undone", BASE, put("podManagementPolicy", None, spec("StatefulSet")), "rolled back"),
    ("a sidecar without a limit of memory", DAPR, note("sidecar-memory-limit", None), "container daprd"),
    ("a volume of no ConfigMap", BASE, lambda m: m.objects.remove(config_map(m)), "volume config"),
    ("a mount of no volume", BASE, put("volumeMounts/4/name", "temporary"), "temporary"),
    ("another configuration than the mounted one", BASE, put("args/2", "/etc/wasmgate.toml"), "/etc/wasmgate.toml"),
    ("no service account", BASE, put("serviceAccountName", "default", pod_spec), "ServiceAccount"),
    ("root", BASE, put("securityContext/runAsNonRoot", False, pod_spec), "root"),
    ("a writable root", BASE, put("securityContext/readOnlyRootFilesystem", False), "securityContext"),
    ("a capability", BASE, put("securityContext/capabilities/drop", ["NET_RAW"]), "securityContext"),
    ("an init container that may escalate", BASE, put("initContainers/0/securityContext", {}, pod_spec), "cache"),
    ("no seccomp profile", BASE, put("securityContext/seccompProfile", None, pod_spec), "seccomp"),
    ("a token of the cluster", BASE, put("automountServiceAccountToken", True, pod_spec), "token"),
    ("no limit of memory", BASE, put("resources/limits", None), "memory"),
    ("a token of no secret", DAPR, put("env/0/valueFrom/secretKeyRef/key", "password"), "APP_API_TOKEN"),
]

NETWORK = [
    ("a Service for the admin listener", BASE, put("ports/0/targetPort", "admin", spec("Service")), "admin"),
    ("a Service for other pods", BASE, put("selector", {"app": "shop"}, spec("Service")), "Service"),
    ("a budget for no pod", BASE, put("selector", None, spec("PodDisruptionBudget")), "PodDisruptionBudget"),
    ("no NetworkPolicy", BASE, lambda m: m.objects.remove(m.all("NetworkPolicy")[0]), "NetworkPolicy"),
    ("an admin listener for everyone", BASE, put("ingress/1/from", None, spec("NetworkPolicy")), "admin"),
    ("an Ingress path without a route", BASE, put("rules/0/http/paths/0/path", "/q", spec("Ingress")), "/q"),
    ("a route without an Ingress path", BASE, put("rules/0/http/paths/0/path", "/c", spec("Ingress")), "/p"),
    ("an Ingress path to Dapr's routes", BASE, put("rules/0/http/paths/0/path", "/dapr", spec("Ingress")), "/dapr"),
    ("a route to the jobs", BASE, toml('path = "/hello"', 'path = "/job/{name}"'), "/job"),
    (
        "an Ingress to no Service",
        BASE,
        put("rules/0/http/paths/0/backend/service/name", "shop", spec("Ingress")),
        "shop",
    ),
]

SCALE = [
    ("an HTTPRoute of another kind of path", SCALED, put("rules/0/matches/0/path/type", "Exact", spec("HTTPRoute")), "Exact"),
    ("an HTTPRoute without a route", SCALED, put("rules/0/matches/0/path/value", "/q", spec("HTTPRoute")), "/q"),
    ("an HTTPRoute to no port", SCALED, put("rules/0/backendRefs/0/port", 3000, spec("HTTPRoute")), "3000"),
    ("an autoscaler of nothing", SCALED, put("scaleTargetRef/name", "shop", spec("HorizontalPodAutoscaler")), "shop"),
    ("one pod at times", SCALED, put("minReplicas", 1, spec("HorizontalPodAutoscaler")), "minReplicas"),
    ("two who say how many", SCALED, put("replicas", 3, spec("Deployment")), "replicas"),
]

METRICS = [
    ("an address for the metrics", MONITORED, put("clusterIP", None, spec("Service", "wasmgate-metrics")), "clusterIP"),
    (
        "metrics of pods that are ready alone",
        MONITORED,
        put("publishNotReadyAddresses", None, spec("Service", "wasmgate-metrics")),
        "publishNotReadyAddresses",
    ),
    (
        "metrics of the public listener",
        MONITORED,
        put("ports/0/targetPort", "http", spec("Service", "wasmgate-metrics")),
        "elsewhere",
    ),
]


def rule(of: str, key: str, value: object) -> Break:
    """Changes an alert."""

    def change(manifests: Manifests) -> None:
        rules = manifests.all("PrometheusRule")[0]["spec"]["groups"][0]["rules"]
        next(each for each in rules if each["alert"] == of)[key] = value

    return change


ALERTS = [
    ("a monitor of no Service", MONITORED, put("selector/matchLabels/a", "b", spec("ServiceMonitor")), "one Service"),
    ("rules of metrics that nobody reads", MONITORED, lambda m: m.objects.remove(m.all("ServiceMonitor")[0]), "no ServiceM"),
]

# With promtool.
TRIED = [
    ("no PromQL", MONITORED, rule("WasmgateErrors", "expr", "sum by ("), "promtool check"),
    ("an alert that never fires", MONITORED, rule("WasmgateNotReady", "expr", "wasmgate_readi == 0"), "promtool test"),
    ("an alert that always fires", MONITORED, rule("WasmgateNotReady", "expr", "wasmgate_ready == 1"), "promtool test"),
    ("an alert of another's gateway", MONITORED, rule("WasmgateNotReady", "expr", "wasmgate_ready == 0"), "promtool test"),
    ("an alert that waits for too long", MONITORED, rule("WasmgateNotReady", "for", "2h"), "promtool test"),
]

SIDECAR = [
    ("a sidecar without its mode", DAPR, toml('mode = "sidecar"', 'mode = "embedded"'), "dapr.io/enabled"),
    ("an app port where nobody listens", DAPR, note("app-port", "8080"), "app-port"),
    ("two on port 9090", DAPR, note("metrics-port", None), "metrics-port"),
    ("a sidecar that leaves first", DAPR, note("enable-native-sidecar", None), "enable-native-sidecar"),
    (
        "a sidecar that waits for nobody",
        DAPR,
        lambda m: m.annotations.update({"dapr.io/block-shutdown-duration": "36s"}),
        "block-shutdown-duration",
    ),
    ("a sidecar that outlives its gateway", DAPR, note("enable-app-health-check", None), "app-health-check"),
    ("a health check that asks a package", DAPR, note("app-health-check-path", "/hello"), "app-health-check"),
    ("a sidecar that is killed", DAPR, note("graceful-shutdown-seconds", "30"), "killed"),
    ("a Configuration that is not there", DAPR, note("config", "tracing"), "dapr.io/config"),
    ("two tokens", DAPR, note("app-token-secret", "another"), "app-token-secret"),
    ("a gateway without the token", DAPR, put("env", []), "APP_API_TOKEN"),
    (
        "a component of another name",
        DAPR,
        lambda m: m.find("Component", "statestore")["metadata"].update(name="store"),
        "statestore",
    ),
    (
        "a component of another building block",
        DAPR,
        put("type", "lock.redis", spec("Component", "statestore")),
        "statestore",
    ),
    (
        "a component of another app",
        DAPR,
        lambda m: m.find("Component", "statestore").update(scopes=["counter-api"]),
        "statestore",
    ),
    ("a grant of a store that is not there", DAPR, toml('["statestore"]', '["orders"]'), "orders"),
    ("a grant of a topic that is not allowed", DAPR, toml("baristaorderplaced", "baristaorders"), "baristaorders"),
    (
        "a topic that nobody declared",
        DAPR,
        lambda m: m.objects.remove(m.all("Subscription")[0]),
        "there is no Subscription",
    ),
    (
        "an event sent to a package's own route",
        DAPR,
        put("routes/default", "/events", spec("Subscription", "kitchenorderplaced")),
        "kitchenorderplaced",
    ),
    (
        "a store that does half a transaction",
        DAPR,
        lambda m: m.find("Component", "statestore")["spec"].update(type="state.redis", version="v1"),
        "transaction",
    ),
    (
        "metadata that the store does not know",
        DAPR,
        lambda m: m.find("Component", "statestore")["spec"]["metadata"][1].update(name="tableName"),
        "tableName",
    ),
    (
        "a policy that is not there",
        DAPR,
        put("targets/components/kitchenpubsub/inbound/timeout", "deliveries", spec("Resiliency")),
        "deliveries",
    ),
    ("retries of no component", DAPR, put("targets/components/pubsub", {}, spec("Resiliency")), "pubsub"),
    ("a scope that is no package", BASE, toml("[package.kitchen-api", "[package.cook-api"), "kitchen-api"),
    ("an invocation of no package", BASE, toml('invoke = ["product-api"]', 'invoke = ["products"]'), "products"),
]

POLICIES = "policies/retries/delivery"
DELIVERY = "policies/timeouts/delivery"


def redis(key: str, value: str | None) -> Break:
    def change(manifests: Manifests) -> None:
        metadata = manifests.find("Component", "kitchenpubsub")["spec"]["metadata"]
        next(each for each in metadata if each["name"] == key)["value"] = value

    return change


def embedded_delivery(old: str, new: str) -> Break:
    def change(manifests: Manifests) -> None:
        for config in manifests.all("ConfigMap"):
            files = config["data"]
            files.update({name: text.replace(old, new) for name, text in files.items() if "Resiliency" in text})

    return change


TIMING = [
    ("a delivery that may take for ever", DAPR, put("policies/timeouts", {}, spec("Resiliency")), "a timeout"),
    ("a delivery that is tried for ever", DAPR, put(f"{POLICIES}/maxRetries", -1, spec("Resiliency")), "for ever"),
    ("tries that nobody limits", DAPR, put("policies/retries", {}, spec("Resiliency")), "for ever"),
    ("a delivery as long as an order", DAPR, put(DELIVERY, "40s", spec("Resiliency")), "kitchenpubsub"),
    ("more tries than fit", DAPR, put(f"{POLICIES}/maxRetries", 4, spec("Resiliency")), "given to another"),
    ("longer pauses", DAPR, put(f"{POLICIES}/duration", "4s", spec("Resiliency")), "given to another"),
    ("growing pauses", DAPR, put(POLICIES, {"policy": "exponential", "maxRetries": 8}, spec("Resiliency")), "given to"),
    ("a drain that cuts deliveries", DAPR, toml('drain_timeout = "30s"', 'drain_timeout = "25s"'), "cuts them"),
    ("pauses too short to notice", DAPR, put(f"{POLICIES}/duration", "1s", spec("Resiliency")), "dead letter"),
    ("a processing shorter than the tries", DAPR, redis("processingTimeout", "26s"), "given to another"),
    ("a redelivery after the order's end", DAPR, redis("processingTimeout", "90s"), "ORDER_TIMEOUT"),
    ("a look at what is left that comes too late", DAPR, redis("redeliverInterval", "70s"), "ORDER_TIMEOUT"),
    ("events that nobody takes over", DAPR, redis("processingTimeout", ""), "processingTimeout"),
    ("an order given up too early", DAPR, toml('"120s"', '"60s"'), "ORDER_TIMEOUT"),
    ("an order with the package's own time-out", DAPR, toml('ORDER_TIMEOUT = "120s"', ""), "ORDER_TIMEOUT"),
    ("an order given up too early, embedded", BASE, toml('"120s"', '"60s"'), "ORDER_TIMEOUT"),
    ("an order given up after its follower", BASE, toml('"120s"', '"150s"'), "limits.timeout"),
    ("a station that outlives its delivery", BASE, toml('timeout = "5s"', 'timeout = "10s"'), "barista-api"),
    ("a longer delivery, embedded", BASE, embedded_delivery("delivery: 5s", "delivery: 15s"), "ORDER_TIMEOUT"),
    ("no limit of a delivery, embedded", BASE, embedded_delivery("timeout: delivery", "retry: never"), "a timeout"),
]

SETTINGS = [
    ("an overlay with other limits", DAPR, toml('memory = "64MiB"', 'memory = "1GiB"'), "[dapr]"),
    ("a package that is not deployed", BASE, toml("[package.product-api]", "[package.products]"), "product-api"),
    (
        "a package that may do more than shipped",
        BASE,
        toml('/product_api.wasm"', '/product_api.wasm"\noutbound = ["https://example.com"]'),
        "outbound",
    ),
    ("another component than shipped", BASE, toml("product_api.wasm", "products.wasm"), "products.wasm"),
    ("a source outside the image", BASE, toml("/packages/hello.wasm", "target/hello.wasm"), "target/hello.wasm"),
    ("a route that is not deployed", BASE, toml('strip_prefix = "/p"', ""), "/p/{*rest}"),
]


class EveryCheckCanFail(unittest.TestCase):
    def broken(self, table: list, check: Callable[[Manifests], object]) -> None:
        for what, manifests, breaks, place in table:
            with self.subTest(what):
                changed = copy.deepcopy(manifests)
                breaks(changed)
                self.assertNotEqual(changed, manifests, "nothing was broken")
                self.assertIn(place, "\n".join(check(changed)))

    def test_what_no_api_server_would_take_is_seen(self) -> None:
        self.broken(SHAPE, schemas.check)

    def test_a_pod_that_disagrees_with_its_configuration_is_seen(self) -> None:
        self.broken(POD, pod.check)

    def test_a_key_that_more_can_read_than_need_to_is_seen(self) -> None:
        volume = len(TLS.pod["spec"]["volumes"]) - 1
        self.assertEqual(list(pod.check(TLS)), [])
        self.broken(
            [
                ("a key for everybody", TLS, put(f"volumes/{volume}/secret/defaultMode", 0o444, pod_spec), "0440"),
                ("a key of root's alone", TLS, put("securityContext/fsGroup", None, pod_spec), "fsGroup"),
                ("a key elsewhere", TLS, put("volumeMounts/-1/mountPath", "/etc/tls"), "server.tls.key"),
                ("no file", TLS, put("data/tls.toml", None, config_map), "tls.toml"),
            ],
            pod.check,
        )

    def test_a_way_to_the_pod_that_should_not_be_is_seen(self) -> None:
        self.broken(NETWORK, network.check)
        self.broken(SCALE, network.check)
        self.broken(METRICS, network.check)

    def test_an_alert_that_tells_nothing_is_seen(self) -> None:
        self.broken(ALERTS, alerts.check)
        if shutil.which("promtool"):
            self.broken(TRIED, alerts.check)

    def test_a_chart_that_renders_something_else_is_seen(self) -> None:
        other = copy.deepcopy(BASE)
        spec("Service")(other)["ports"][0]["port"] = 81
        self.assertEqual(list(helm.different(BASE.objects, copy.deepcopy(BASE.objects))), [])
        self.assertEqual(len(list(helm.different(other.objects, BASE.objects))), 1)
        self.assertEqual(len(list(helm.different(BASE.objects[1:], BASE.objects))), 1)

    def test_a_sidecar_that_does_not_fit_is_seen(self) -> None:
        self.broken(SIDECAR, lambda manifests: dapr.check(manifests, BASE))

    def test_an_event_that_comes_too_late_is_seen(self) -> None:
        self.broken(TIMING, lambda m: timing.check(m, m if m.name == BASE.name else BASE))

    def test_a_configuration_that_is_not_the_shipped_one_is_seen(self) -> None:
        self.broken(SETTINGS, lambda manifests: settings.check(manifests, BASE, shipped()))

    def test_a_laptop_with_other_stores_is_seen(self) -> None:
        known = shipped()
        packages = {**known["package"], "counter-api": BASE.config()["package"]["counter-api"]}
        for components, problems in ((settings.COMPONENTS, 0), ("components", 1)):
            with self.subTest(components):
                laptop = {**known, "package": packages, "dapr": {"components": components}}
                self.assertEqual(len(list(settings.check(BASE, BASE, laptop))), problems)

    def test_a_crate_that_the_build_does_not_get_is_seen(self) -> None:
        ignored = image.DOCKERIGNORE.read_text()
        self.assertEqual(list(image.context(ignored)), [])
        self.assertNotEqual(list(image.context(ignored.replace("!sdk", ""))), [])

    def test_an_image_that_does_not_fit_the_pod_is_seen(self) -> None:
        for old, new in [
            ("EXPOSE 3000 9090", "EXPOSE 3000"),
            ("USER 65532:65532", "USER root"),
            ('ENTRYPOINT ["/usr/local/bin/wasmgate"]', "ENTRYPOINT /usr/local/bin/wasmgate"),
            ("/image/usr/bin/cp", "/image/usr/bin/copy"),
            ("WORKDIR /src", "WORKDIR src"),
            ("    set -eu; \\\n    case", "    case"),
        ]:
            with self.subTest(new):
                self.assertIn(old, DOCKERFILE)
                self.assertNotEqual(list(image.check(BASE, DOCKERFILE.replace(old, new))), [])

    def test_a_gateway_that_refuses_is_seen(self) -> None:
        """Stands in for the gateway: what says no to everything, and what says yes but never serves."""
        with mock.patch.object(gateway, "built_component", lambda source: source):
            for binary in ("/bin/false", "/bin/true"):
                with self.subTest(binary):
                    found = list(gateway.check(BASE, BASE, Path(binary)))
                    self.assertEqual(len(found), 1, found)


if __name__ == "__main__":
    unittest.main()
