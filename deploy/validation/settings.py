"""The deployed wasmgate.toml against the shipped one, and the overlay's against the base's."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from .manifests import ROOT, Manifests

# The embedded components, for a laptop and the base alike.
COMPONENTS = "deploy/base/components"

# What must be the same wherever a package runs: what it may do. Limits and environment are the place's.
PERMISSIONS = ("dapr", "outbound")


def check(manifests: Manifests, base: Manifests, shipped: dict) -> Iterator[str]:
    """Everything that must be the same."""
    config = manifests.config()
    if {**config, "dapr": None} != {**base.config(), "dapr": None}:
        yield "wasmgate.toml differs from the base's in more than [dapr]"
    granted = any("dapr" in package for package in shipped.get("package", {}).values())
    if granted and shipped.get("dapr", {}).get("components") != COMPONENTS:
        yield f'the shipped wasmgate.toml has other stores than the base: write components = "{COMPONENTS}" in [dapr]'
    yield from packages(config["package"], shipped.get("package", {}))
    yield from routes(config.get("route", []), shipped.get("route", []))


def packages(deployed: dict, shipped: dict) -> Iterator[str]:
    for name, package in shipped.items():
        if name not in deployed:
            yield f"package {name} of the shipped wasmgate.toml is not deployed"
            continue
        for key in PERMISSIONS:
            if package.get(key) != deployed[name].get(key):
                yield f"package {name}: {key} is {deployed[name].get(key)}, shipped is {package.get(key)}"
        files = [PurePosixPath(each["source"]).name for each in (package, deployed[name])]
        if files[0] != files[1]:
            yield f"package {name}: the component is {files[1]}, shipped is {files[0]}"
    for name, package in deployed.items():
        if not package["source"].startswith("/packages/"):
            yield f"package {name}: source {package['source']} is not where the image has its packages, /packages"
        if name not in shipped and (ROOT / "apps" / name).is_dir():
            yield f"package {name} of apps/ is deployed, but the shipped wasmgate.toml does not serve it"


def routes(deployed: list[dict], shipped: list[dict]) -> Iterator[str]:
    for route in shipped:
        if route not in deployed:
            yield f"route {route} of the shipped wasmgate.toml is not deployed"
