"""What `wasmgate deploy --kubernetes` renders of new projects, held to the checks of the pods in deploy/."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from . import network, pod, schemas
from .manifests import Manifests

# A project's template, and what is asked for. Together they have every kind of object.
RENDERINGS = (
    ("rust", "--image registry.example.com/greeter:1 --gateway infra/public --host greeter.example.com --max-replicas 5"),
    ("rust-dapr", "--image registry.example.com/greeter:1 --ingress-class traefik --pull-secret registry --env-from more"),
    ("rust-dapr", "--image registry.example.com/greeter:1 --dapr --replicas 3 --gateway public"),
    (
        "rust-dapr",
        "--files registry.example.com/greeter-files:1 --service-monitor --monitor-label release=prometheus"
        " --storage 2Gi --storage-class fast --env LEVEL=info",
    ),
    (
        "rust",
        "--image registry.example.com/greeter:1 --ingress-class traefik --host greeter.example.com --tls-secret greeter"
        " --max-replicas 5 --in-flight 100 --service-monitor",
    ),
)


def check(binary: Path) -> Iterator[tuple[Manifests, list[str]]]:
    """Each rendering with all that is wrong with it."""
    for template, options in RENDERINGS:
        manifests = render(binary, template, options)
        yield manifests, list(problems(manifests))


def run(binary: Path, folder: str | Path, *words: str | Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DAPR_", "WASMGATE_"))}
    done = subprocess.run([binary, *words], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def project(binary: Path, place: str, template: str) -> Path:
    """A new project in a folder of that place."""
    run(binary, place, "new", "greeter", "--template", template)
    return Path(place) / "greeter"


def render(binary: Path, template: str, options: str) -> Manifests:
    with tempfile.TemporaryDirectory() as place:
        text = run(binary, project(binary, place, template), "deploy", "--kubernetes", *options.split())
    return Manifests(f"of {template} {options}", list(yaml.safe_load_all(text)))


def problems(manifests: Manifests) -> Iterator[str]:
    """The shape comes first: the other checks rely on it."""
    shape = list(schemas.check(manifests))
    yield from shape
    if shape:
        return
    config = manifests.config()
    if "dapr" not in config:
        # No package uses the building blocks: nothing is embedded, and there is no sidecar.
        config["dapr"] = {"mode": "unused"}
    yield from pod.listeners(manifests, config)
    yield from pod.probes(manifests)
    yield from pod.drain(manifests)
    yield from pod.folders(manifests, config)
    yield from pod.hardening(manifests)
    yield from pod.embedded(manifests, config)
    yield from network.selectors(manifests)
    yield from network.service(manifests)
    yield from network.policy(manifests)
    yield from network.autoscaler(manifests)
