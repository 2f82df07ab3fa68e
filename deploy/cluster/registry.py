"""A registry on the node, for pods by the node's address, and what is pushed to it."""

import re
import shutil
import subprocess
from pathlib import Path

from .configuration import ADDRESS
from .image import PACKAGES
from .node import Node

REGISTRY = f"{ADDRESS}:5000"

# What a gateway is told of it.
SETTINGS = f"""
[registry.host."{REGISTRY}"]
insecure = true
"""


def lacks() -> bool:
    return shutil.which("docker-registry") is None


def begin(node: Node) -> None:
    """Starts it, once; it keeps what it has in memory."""
    if "registry" in node.running:
        return
    kept = node.memory / "registry"
    file = node.folder / "registry.yml"
    file.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {kept}}}}}\n"
        f"http: {{addr: '{REGISTRY}'}}\n"
    )
    node.start("registry", "docker-registry", "serve", file)
    there = lambda: curl(node, "-f", f"http://{REGISTRY}/v2/").returncode == 0
    node.until("the registry", there)


def push(node: Node, gateway: Path, version: int, reference: str) -> str:
    """Pushes a version of the package hello, all of which do the same; the digest of its manifest."""
    component = node.folder / f"hello-{version}.wasm"
    # A custom section: its length, the length of its name, its name.
    section = bytes([0, 3 + version, 1, ord("v"), *([0] * (1 + version))])
    component.write_bytes((PACKAGES / "hello.wasm").read_bytes() + section)
    command = node.inside(gateway, "push", component, reference, "--insecure")
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.search(r"@(sha256:[0-9a-f]{64})", told)[1]


def tag(node: Node, name: str, known: str, tags: list[str]) -> None:
    """Gives a manifest more tags."""
    url = f"http://{REGISTRY}/v2/{name}/manifests"
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = node.folder / "manifest.json"
    manifest.write_text(curl(node, "-f", "-H", f"accept: {kind}", f"{url}/{known}").stdout)
    # One connection for all of them.
    urls = node.folder / "urls"
    each = (f'url = "{url}/{one}"\nupload-file = "{manifest}"\nheader = "content-type: {kind}"\nfail\n' for one in tags)
    urls.write_text("next\n".join(each))
    done = curl(node, "-K", urls)
    if done.returncode != 0:
        raise RuntimeError(f"the registry took no tag of {name}: {done.stdout}{done.stderr}")


def curl(node: Node, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(node.inside("curl", "-s", *arguments), capture_output=True, text=True, check=False)
