"""A project of `wasmgate new`, as `wasmgate deploy` renders it: in a namespace of its own that is `restricted`."""

import json
import os
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

from ..validation.rendered import RENDERINGS, render
from .image import GATEWAY, ROOT, Images
from .render import dump
from .shop import Shop
from .table import Row, Table

NAMESPACE = "projects"
PROJECT = "greeter"
IMAGE = f"wasmgate.test/{PROJECT}:1"
PAGE = f"/{PROJECT}/you"

# What is rendered of it beside ServiceAccount and ConfigMap, by the server's names.
KINDS = ("deployments", "services", "networkpolicies", "poddisruptionbudgets", "horizontalpodautoscalers",
         "httproutes", "servicemonitors", "prometheusrules")

# The guide shows a project's Dockerfiles and the configuration for it.
GUIDE = ROOT / "apps/guide/deploying.md"
BUILT = ROOT / "target/readme/new"

# Definitions of others that a rendering has objects of, as Go modules.
DEFINITIONS = {
    "sigs.k8s.io/gateway-api@v1.4.1": ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ],
}


def run(images: Images, gateway: Path, table: Table) -> None:
    shop = Shop(images.node, NAMESPACE, PROJECT)
    shop.make()
    defined(shop)
    case = "rendered: every kind of project, in a `restricted` namespace"
    table.attempt(case, "admitted without a warning", partial(admitted, shop, gateway))
    folder = project(images, gateway)
    target = "admitted without a warning, answers"
    table.attempt("rendered: a new project, applied by the server", target, partial(baked, shop, images, gateway, folder))
    case = "rendered: its files as an image volume"
    table.attempt(case, target, partial(mounted, shop, images, gateway, folder))
    case = "rendered: a rollout with a new image volume, under load"
    table.attempt(case, "swapped, 0 failed", partial(swapped, shop, images, gateway, folder))
    shop.node.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def admitted(shop: Shop, gateway: Path, row: Row) -> None:
    """Asks the server alone: what a pod of each would need is not here."""
    for template, options in RENDERINGS:
        objects = render(gateway, template, options).objects
        text = dump([each for each in objects if not each["apiVersion"].startswith("dapr.io/")])
        done = shop.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=text)
        row.need("Warning" not in done.stderr, done.stderr)
    row.tell(f"{len(RENDERINGS)} renderings")


def defined(shop: Shop) -> None:
    for module, files in DEFINITIONS.items():
        command = [ROOT / "gateway/tests/go", "mod", "download", "-json", module]
        told = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout
        for file in files:
            shop.node.kubectl("apply", "--server-side", "-f", str(Path(json.loads(told)["Dir"]) / file))
    names = (json.loads(shop.node.kubectl("get", "crd", "-o", "json").stdout))["items"]
    for each in names:
        shop.node.kubectl("wait", "--for=condition=Established", f"crd/{each['metadata']['name']}", "--timeout=60s")


def project(images: Images, gateway: Path) -> Path:
    """A new project, built, with the Dockerfiles of the guide."""
    place = images.tree("project")
    subprocess.run([gateway, "new", PROJECT], cwd=place, check=True, capture_output=True)
    folder = place / PROJECT
    shutil.copy(ROOT / "Cargo.lock", folder)
    for name, text in re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", GUIDE.read_text(), re.M | re.S):
        (folder / name).write_text(text)
    build(folder)
    return folder


def build(folder: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("RUSTFLAGS", "MAKEFLAGS")}
    toolchain = subprocess.run(["rustup", "show", "active-toolchain"], cwd=ROOT, capture_output=True, text=True, check=True)
    kept |= {"CARGO_TARGET_DIR": str(BUILT), "RUSTUP_TOOLCHAIN": toolchain.stdout.split()[0]}
    command = ["cargo", "build", "--quiet", "--release", "--target", "wasm32-wasip2"]
    subprocess.run(command, cwd=folder, env=kept, check=True, capture_output=True)
    component = Path("wasm32-wasip2/release") / f"{PROJECT}.wasm"
    (folder / "target" / component).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(BUILT / component, folder / "target" / component)


def apply(shop: Shop, gateway: Path, folder: Path, row: Row, *options: str) -> None:
    """Renders and applies the project, and waits until it serves."""
    command = [gateway, "deploy", "--kubernetes", "--service-monitor", "--gateway", "public", *options]
    text = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    warned = shop.apply(text)
    row.need("Warning" not in warned, warned)
    shop.ready(f"deployment/{PROJECT}")


def answers(shop: Shop, row: Row, right: str) -> None:
    asked = shop.node.inside("curl", "-s", "-m", "10", f"{shop.url()}{PAGE}")
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    row.tell(f"answers {said.strip()!r}")
    row.need(said == f"{right}, you!\n", f"it answers {said!r}")


def baked(shop: Shop, images: Images, gateway: Path, folder: Path, row: Row) -> None:
    images.build(IMAGE, folder, (folder / "Dockerfile").read_text(), WASMGATE=f"{GATEWAY}:1")
    images.import_into_node(IMAGE)
    apply(shop, gateway, folder, row, "--image", IMAGE, "--max-replicas", "3")
    row.tell(", ".join(f"{len(each)} {kind}" for kind in KINDS if (each := listed(shop, kind))))
    answers(shop, row, "Hello")


def listed(shop: Shop, kind: str) -> list[dict]:
    return json.loads(shop.kubectl("get", kind, "-o", "json").stdout)["items"]


def files(images: Images, folder: Path, version: str) -> str:
    """The image of the project's files alone, on the node."""
    name = f"wasmgate.test/{PROJECT}-files:{version}"
    images.build(name, folder, (folder / "files.Dockerfile").read_text())
    size = images.import_into_node(name)
    return f"{name} ({size / 1e3:.0f} kB)"


def mounted(shop: Shop, images: Images, gateway: Path, folder: Path, row: Row) -> None:
    name, _, size = files(images, folder, "1").partition(" ")
    row.tell(f"the image {size}")
    apply(shop, gateway, folder, row, "--image", f"{GATEWAY}:1", "--files", name)
    row.need(references(shop) == {name}, f"the pods' volumes are {references(shop)}")
    answers(shop, row, "Hello")


def references(shop: Shop) -> set[str]:
    """The images that the pods have as volumes."""
    shop.node.until("two pods that are ready", lambda: shop.settled(2))
    volumes = [volume for pod in shop.pods() for volume in pod["spec"]["volumes"]]
    return {volume["image"]["reference"] for volume in volumes if "image" in volume}


def swapped(shop: Shop, images: Images, gateway: Path, folder: Path, row: Row) -> None:
    source = folder / "src/lib.rs"
    changed = source.read_text().replace("Hello, ", "Welcome, ")
    source.write_text(changed)
    build(folder)
    name, *_ = files(images, folder, "2").split()
    shop.node.until("two pods that are ready", lambda: shop.settled(2))
    with shop.load(0, PAGE) as load:
        apply(shop, gateway, folder, row, "--image", f"{GATEWAY}:1", "--files", name)
        row.need(references(shop) == {name}, f"the pods' volumes are {references(shop)}")
    row.tell(f"{load.seen['asked']} requests, {load.seen['unanswered']} failed")
    row.need(not load.seen["unanswered"], f"{load.seen['unanswered']} requests had no answer in time")
    answers(shop, row, "Welcome")
