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
)


def check(binary: Path) -> Iterator[tuple[Manifests, list[str]]]:
    """Each rendering with all that is wrong with it."""
    for template, options in RENDERINGS:
        manifests = render(binary, template, options)
        yield manifests, list(problems(manifests))


def render(binary: Path, template: str, options: str) -> Manifests:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DAPR_", "WASMGATE_"))}
    with tempfile.TemporaryDirectory() as place:
        run = lambda folder, *words: subprocess.run(
            [binary, *words], cwd=folder, env=clean, check=True, capture_output=True, text=True
        ).stdout
        run(place, "new", "greeter", "--template", template)
        text = run(Path(place) / "greeter", "deploy", "--kubernetes", *options.split())
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
