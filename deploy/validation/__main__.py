"""Checks everything in `deploy/`; exit code 1 when something is wrong."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from . import alerts, dapr, gateway, helm, image, network, pod, rendered, schemas, settings, timing
from .manifests import DEPLOY, Manifests, render, shipped

# What is rendered, and with which components.
KUSTOMIZATIONS = (
    ("base",),
    ("overlays/dapr",),
    ("base", "httproute"),
    ("base", "tls"),
    ("overlays/dapr", "httproute", "autoscaling"),
    ("overlays/dapr", "tls"),
    ("base", "monitoring"),
    ("overlays/dapr", "autoscaling", "autoscaling-in-flight", "monitoring"),
)


def problems(manifests: Manifests, base: Manifests, shipped_config: dict) -> Iterator[str]:
    """All that is wrong with one kustomization. The shape comes first: the other checks rely on it."""
    shape = list(schemas.check(manifests))
    yield from shape
    if shape:
        return
    yield from pod.check(manifests)
    yield from network.check(manifests)
    yield from dapr.check(manifests, base)
    yield from timing.check(manifests, base)
    yield from settings.check(manifests, base, shipped_config)
    yield from alerts.check(manifests)
    yield from image.check(manifests, image.DOCKERFILE.read_text())
    yield from image.context(image.DOCKERIGNORE.read_text())
    plain = " with " not in manifests.name
    if plain and (binary := os.environ.get("WASMGATE_BIN")):
        yield from gateway.check(manifests, base, Path(binary))


def main() -> int:
    found = 0
    base = render(DEPLOY / "base")
    for name, *components in KUSTOMIZATIONS:
        manifests = render(DEPLOY / name, *components)
        wrong = list(problems(manifests, base, shipped()))
        print(f"deploy/{manifests.name}: {len(manifests.objects)} objects, {len(wrong) or 'no'} problems")
        for problem in wrong:
            print(f"  {problem}")
        found += len(wrong)
    if binary := os.environ.get("WASMGATE_BIN"):
        for checks in (rendered, helm):
            for manifests, wrong in checks.check(Path(binary)):
                print(f"wasmgate deploy {manifests.name}: {len(manifests.objects)} objects, {len(wrong) or 'no'} problems")
                for problem in wrong:
                    print(f"  {problem}")
                found += len(wrong)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
