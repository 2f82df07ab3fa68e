"""The pod against the wasmgate.toml in it: ports, probes, the drain, folders, and what it may do."""

import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

from . import injected
from .manifests import Manifests, port

# Secrets that whoever deploys brings, such as those of cert-manager.
BROUGHT = {"wasmgate-tls"}

# The most that others than a file's owner may do with a secret: its group reads it.
SECRET_MODE = 0o440

# Which question each probe asks. Only readiness may depend on anything beside the process.
PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def check(manifests: Manifests) -> Iterator[str]:
    """Everything about the pod. What it names must exist before its configuration can be read."""
    missing = list(references(manifests))
    yield from missing
    if missing:
        return
    config = manifests.config()
    yield from listeners(manifests, config)
    yield from probes(manifests)
    yield from drain(manifests)
    yield from folders(manifests, config)
    yield from hardening(manifests)
    yield from secrets(manifests)
    yield from tls(manifests)
    yield from embedded(manifests, config)


def listeners(manifests: Manifests, config: dict) -> Iterator[str]:
    ports = manifests.ports
    for name, key in (("http", "listen"), ("admin", "admin")):
        address = config["server"][key]
        if ports.get(name) != port(address):
            yield f"container port {name} is {ports.get(name)}, server.{key} is {address}: make them one"
        if not address.startswith(("0.0.0.0:", "[::]:")):
            yield f"server.{key} is {address}, which nobody outside the pod reaches: write 0.0.0.0"
    scraped = manifests.annotations.get("prometheus.io/port")
    if scraped != str(ports.get("admin")):
        yield f"prometheus.io/port is {scraped}; write that of the admin listener"


def probes(manifests: Manifests) -> Iterator[str]:
    ports = manifests.ports
    for probe, path in PROBES.items():
        get = manifests.container.get(probe, {}).get("httpGet", {})
        if get.get("path") != path:
            yield f"{probe} asks {get.get('path')}; write {path}"
        asked = get.get("port")
        if ports.get(asked, asked) != ports.get("admin"):
            yield f"{probe} asks port {asked}; only the admin listener answers it"


def drain(manifests: Manifests) -> Iterator[str]:
    if manifests.sleep_ms == 0:
        yield "there is no preStop.sleep: requests that are on their way at SIGTERM are refused"
    if manifests.grace_ms <= manifests.leave_ms:
        yield (
            f"terminationGracePeriodSeconds ({manifests.grace_ms} ms) cuts the drain, which ends after "
            f"{manifests.leave_ms} ms; make it longer"
        )


def folders(manifests: Manifests, config: dict) -> Iterator[str]:
    """What the gateway writes to is below a writable volume: it closes its folder, which only the owner may."""
    volumes = {each["name"]: each for each in manifests.pod["spec"]["volumes"]}
    writable = [
        PurePosixPath(mount["mountPath"])
        for mount in manifests.container["volumeMounts"]
        if {"emptyDir", "persistentVolumeClaim"} & volumes.get(mount["name"], {}).keys() and not mount.get("readOnly")
    ]
    written = {"server.cache": config["server"].get("cache", ".")}
    dapr = config.get("dapr", {})
    if dapr.get("mode", "embedded") == "embedded":
        written["dapr.data"] = dapr.get("data", ".")
    for key, folder in written.items():
        if not any(mount in PurePosixPath(folder).parents for mount in writable):
            yield f"{key} is {folder}, which is below no writable volume; write a folder in one"
    for init in manifests.pod["spec"].get("initContainers", []):
        if "cp" in init["command"][0] and init["command"][-2] != written["server.cache"]:
            yield f"container {init['name']} copies {init['command'][-2]}, server.cache is {written['server.cache']}"


def secrets(manifests: Manifests) -> Iterator[str]:
    """What is mounted of secrets is for the pod's group alone."""
    spec = manifests.pod["spec"]
    for volume in spec["volumes"]:
        if "secret" not in volume:
            continue
        mode = volume["secret"].get("defaultMode", 0o644)
        if mode & ~SECRET_MODE:
            yield f"volume {volume['name']}: its files have mode {mode:04o}; write defaultMode: 0440"
        if not spec.get("securityContext", {}).get("fsGroup"):
            yield f"volume {volume['name']}: its files belong to root; set fsGroup, so that the gateway may read them"


def tls(manifests: Manifests) -> Iterator[str]:
    """A file that is laid over the configuration is there, and names files of a mounted secret."""
    args = manifests.container["args"]
    if "--with" not in args:
        return
    name = PurePosixPath(args[args.index("--with") + 1]).name
    config = next(each for each in manifests.all("ConfigMap") if "wasmgate.toml" in each["data"])
    if name not in config["data"]:
        yield f"the gateway reads {name}, which is not in the ConfigMap"
        return
    mounts = [PurePosixPath(each["mountPath"]) for each in manifests.container["volumeMounts"] if each["name"] == "tls"]
    for key, path in tomllib.loads(config["data"][name])["server"]["tls"].items():
        if PurePosixPath(path).parent not in mounts:
            yield f"server.tls.{key} is {path}, which is in no mounted secret"


def references(manifests: Manifests) -> Iterator[str]:
    """Every object and volume that the pod names exists."""
    spec = manifests.pod["spec"]
    kinds = {
        "configMap": ("ConfigMap", "name"),
        "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
        "secret": ("Secret", "secretName"),
    }
    for volume in spec["volumes"]:
        for key, (kind, field) in kinds.items():
            name = volume.get(key, {}).get(field)
            if name and name not in BROUGHT and not manifests.find(kind, name):
                yield f"volume {volume['name']}: there is no {kind} {name}"
    names = {each["name"] for each in spec["volumes"]}
    for container in spec["containers"] + spec.get("initContainers", []):
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in names:
                yield f"container {container['name']}: there is no volume {mount['name']}"
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            secret = reference and manifests.find("Secret", reference["name"]) or {}
            if reference and reference["key"] not in secret.get("data", {}):
                yield f"{variable['name']}: secret {reference['name']} has no {reference['key']}"
    file = PurePosixPath(manifests.container["args"][-1])
    config = next(each for each in manifests.container["volumeMounts"] if each["name"] == "config")
    if file != PurePosixPath(config["mountPath"]) / "wasmgate.toml":
        yield f"the gateway reads {file}, the ConfigMap is at {config['mountPath']}"
    account = spec.get("serviceAccountName")
    if not manifests.find("ServiceAccount", account):
        yield f"there is no ServiceAccount {account}"


def hardening(manifests: Manifests) -> Iterator[str]:
    """The Pod Security Standard `restricted`, and a read-only root beyond it; of the sidecar that is injected, too."""
    spec = injected.pod_spec(manifests)
    pod = spec.get("securityContext", {})
    if not pod.get("runAsNonRoot") or not pod.get("runAsUser"):
        yield "the pod may run as root; set runAsNonRoot and runAsUser"
    if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod has no seccomp profile; write RuntimeDefault"
    if spec.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token of the cluster; set automountServiceAccountToken to false"
    for container in spec["containers"] + spec.get("initContainers", []):
        context = container.get("securityContext", {})
        closed = (
            context.get("allowPrivilegeEscalation") is False
            and context.get("readOnlyRootFilesystem") is True
            and context.get("capabilities", {}).get("drop") == ["ALL"]
            and not context.get("privileged")
        )
        if not closed:
            yield f"container {container['name']}: close its securityContext (escalation, root, capabilities)"
        resources = container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or not resources.get("requests"):
            yield f"container {container['name']}: give it requests and a limit of memory"


def embedded(manifests: Manifests, config: dict) -> Iterator[str]:
    """Embedded building blocks are one process with a disk, and pods with neither may stand side by side."""
    kind = manifests.workload["kind"]
    if config.get("dapr", {}).get("mode", "embedded") != "embedded":
        if kind != "Deployment":
            yield f"the pods have no data, and their {kind} ends each before it makes the next: write a Deployment"
        return
    spec = manifests.workload["spec"]
    if spec.get("replicas") != 1 or kind != "StatefulSet":
        yield "embedded building blocks are held by one process: write replicas 1 and a StatefulSet"
    if spec.get("podManagementPolicy") != "Parallel":
        yield "a pod that does not get ready is never rolled back: write podManagementPolicy Parallel"
    data = PurePosixPath(config["dapr"]["data"])
    claims = {each["name"] for each in manifests.pod["spec"]["volumes"] if "persistentVolumeClaim" in each}
    mounts = [each for each in manifests.container["volumeMounts"] if each["name"] in claims]
    if not any(data.is_relative_to(each["mountPath"]) for each in mounts):
        yield f"dapr.data is {data}, which is on no PersistentVolumeClaim: what was acknowledged dies with the pod"
