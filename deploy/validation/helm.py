"""The chart that `wasmgate deploy --helm` writes, rendered by Helm: with any values it is what `--kubernetes` renders with
the options that say the same."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from . import rendered
from .manifests import Manifests

IMAGE = "--image registry.example.com/greeter:1"

# A Helm that is built as a module knows no version of Kubernetes that is not old.
NEWEST = "1.35.0"

EVERYTHING = {
    "image": "registry.example.com/greeter:2",
    "pullSecret": "registry",
    "extraEnv": [{"name": "LEVEL", "value": "a: {b} # \"c\""}],
    "envFrom": ["more", "most"],
    "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
    "cache": {"size": "2Gi"},
    "hosts": ["a.example.com", "*.b.example.com"],
    "monitoring": {"enabled": True, "namespace": "observability", "labels": {"release": "on"}},
}
ALL_OPTIONS = [
    *("--image registry.example.com/greeter:2 --pull-secret registry --env-from more --env-from most".split()),
    *("--env", "LEVEL=a: {b} # \"c\"", "--memory", "128Mi", "--cache", "2Gi", "--host", "a.example.com", "--host", "*.b.example.com"),
    *("--service-monitor --monitoring observability --monitor-label release=on".split()),
]

# A template, the options by which the chart is made, the values by which it is installed, and the options of which that
# is the same.
SAME = (
    ("rust", IMAGE.split(), {}, IMAGE.split()),
    ("rust-dapr", IMAGE.split(), {}, IMAGE.split()),
    ("rust-dapr", [*IMAGE.split(), "--dapr"], {}, [*IMAGE.split(), "--dapr"]),
    ("rust-dapr", [*IMAGE.split(), "--dapr"], {"dapr": {"enabled": False}}, IMAGE.split()),
    *((template, [*ALL_OPTIONS, *more], {}, [*ALL_OPTIONS, *more]) for template, *more in (
        ("rust", "--gateway", "infra/public", "--max-replicas", "7", "--in-flight", "80"),
        ("rust-dapr", "--ingress-class", "traefik", "--tls-secret", "greeter", "--storage-class", "fast"),
    )),
    (
        "rust",
        IMAGE.split(),
        EVERYTHING | {
            "replicas": 3,
            "autoscaling": {"enabled": True, "maxReplicas": 2000000, "inFlight": 1000000},
            "httpRoute": {"enabled": True, "gateway": "public", "namespace": "infra"},
        },
        [*ALL_OPTIONS, *"--replicas 3 --max-replicas 2000000 --in-flight 1000000 --gateway infra/public".split()],
    ),
    (
        "rust-dapr",
        IMAGE.split(),
        EVERYTHING | {
            "storage": {"size": "2Gi", "className": "fast", "accessMode": "ReadWriteOncePod"},
            "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "greeter"},
        },
        [*ALL_OPTIONS, *"--storage 2Gi --storage-class fast --access-mode ReadWriteOncePod --ingress-class nginx --tls-secret greeter".split()],
    ),
    (
        "rust-dapr",
        IMAGE.split(),
        EVERYTHING | {
            "dapr": {"enabled": True}, "replicas": 4, "httpRoute": {"enabled": True, "gateway": "public"},
        },
        [*ALL_OPTIONS, *"--dapr --replicas 4 --gateway public".split()],
    ),
    (
        "rust",
        "--files registry.example.com/greeter-files:1".split(),
        {"files": "registry.example.com/greeter-files:2"},
        "--files registry.example.com/greeter-files:2".split(),
    ),
)

# Values that must not go into a cluster, and what is said of them.
REFUSED = (
    ("rust", {"replica": 3}, "replica"),
    ("rust", {"image": "a b"}, "image"),
    ("rust", {"cache": {"size": "lots"}}, "size"),
    ("rust", {"image": None}, "image"),
    ("rust", {"packages": {"pulled": None}}, "pulled"),
    ("rust", {"packages": {"pulled": {"source": "pulled.wasm"}}}, "source"),
    ("rust", {"hosts": ["https://a.example.com"], "ingress": {"enabled": True}}, "hosts"),
    ("rust", {"hosts": ["10.0.0.1"], "ingress": {"enabled": True}}, "hosts"),
    ("rust", {"hosts": ["a.example.com"]}, "nothing to lead from"),
    ("rust", {"extraEnv": [{"name": "LEVEL", "value": 1}]}, "value"),
    ("rust", {"extraEnv": [{"name": "1 LEVEL"}]}, "name"),
    ("rust", {"envFrom": [{"secretRef": {"name": "more"}}]}, "envFrom"),
    ("rust", {"monitoring": {"labels": {"release": True}}}, "release"),
    ("rust", {"pullSecret": "A" * 300}, "pullSecret"),
    ("rust", {"autoscaling": {"enabled": True, "maxReplicas": 2}, "replicas": 3}, "maxReplicas"),
    ("rust-dapr", {"storage": {"accessMode": "ReadWriteMany"}}, "accessMode"),
    ("rust", {"replicas": "3"}, "replicas"),
    ("rust", {"replicas": 0}, "replicas"),
    ("rust", {"autoscaling": {"enabled": True}, "replicas": 1}, "while the one pod goes"),
    ("rust", {"ingress": {"enabled": True}, "httpRoute": {"enabled": True}}, "keep one"),
    ("rust-dapr", {"autoscaling": {"enabled": True}}, "dapr.enabled"),
)


def check(binary: Path) -> Iterator[tuple[Manifests, list[str]]]:
    """Each chart with all that is wrong with it."""
    if not os.environ.get("HELM"):
        left = "the Helm chart is not rendered: there is no helm, which `make target/deploy/bin/helm` builds"
        print(left)
        if told := os.environ.get("WASMGATE_LEFT_OUT"):
            with Path(told).open("a", encoding="utf-8") as file:
                file.write(f"deploy\t{left}\n")
        return
    for template, options, values, same in SAME:
        with tempfile.TemporaryDirectory() as place:
            chart, project = made(binary, place, template, options)
            name = f"--helm of {template} {' '.join(options)} and {json.dumps(values)}"
            try:
                manifests = Manifests(name, installed(chart, values))
            except RuntimeError as refused:
                yield Manifests(name, []), [str(refused)]
                continue
            text = rendered.run(binary, project, "deploy", "--kubernetes", *same)
            wrong = list(different(manifests.objects, list(yaml.safe_load_all(text))))
            yield manifests, wrong or list(rendered.problems(manifests))
    yield from refusals(binary)


def made(binary: Path, place: str, template: str, options: list[str]) -> tuple[Path, Path]:
    """The chart of a new project, whose configuration and components have what a template would take for its own."""
    project = rendered.project(binary, place, template)
    with (project / "wasmgate.toml").open("a") as file:
        file.write('\n[package.pulled]\nsource = "oci://registry.example.com/pulled:${VERSION:-1}#app/pulled.wasm"\nenv = { A = "{{ .Values.image }}" }\n')
    rendered.run(binary, project, "deploy", "--helm", Path(place) / "chart", *options)
    return Path(place) / "chart", project


def installed(chart: Path, values: dict) -> list[dict]:
    """What `helm install` would send; first the chart is looked over."""
    file = chart.parent / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    for words in (("lint", "--strict", chart), ("template", "greeter", chart, "--kube-version", NEWEST)):
        command = [os.environ["HELM"], *words, "--values", file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"helm {words[0]}: {done.stdout.strip()} {done.stderr.strip()}")
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def different(ours: list[dict], right: list[dict]) -> Iterator[str]:
    """What one rendering has otherwise than the other."""
    by_name = lambda objects: {f"{each['kind']} {each['metadata']['name']}": each for each in objects}
    ours, right = by_name(ours), by_name(right)
    for name in sorted(ours.keys() | right.keys()):
        if ours.get(name) != right.get(name):
            yield f"{name}: Helm renders\n{json.dumps(ours.get(name))}\n  and --kubernetes\n{json.dumps(right.get(name))}"


def refusals(binary: Path) -> Iterator[tuple[Manifests, list[str]]]:
    for template, values, word in REFUSED:
        with tempfile.TemporaryDirectory() as place:
            chart, _ = made(binary, place, template, IMAGE.split())
            name = f"--helm of {template} and {json.dumps(values)}, which is refused"
            try:
                installed(chart, values)
                wrong = ["it is taken"]
            except RuntimeError as refused:
                wrong = [] if word in str(refused) else [f"{refused}, without a word of {word!r}"]
            yield Manifests(name, []), wrong
