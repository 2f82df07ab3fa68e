"""The Dockerfile: hadolint's rules, and what the manifests take for granted about the image."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from .manifests import DEPLOY, ROOT, Manifests

DOCKERFILE = DEPLOY / "Dockerfile"

DOCKERIGNORE = DEPLOY / "Dockerfile.dockerignore"

# Debian's versions are those of the builder's release: DL3008 would pin what its security fixes replace.
IGNORED = ["--ignore", "DL3008"]


def check(manifests: Manifests, text: str) -> Iterator[str]:
    """Checks the text of a Dockerfile against the pod that runs its image."""
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run(
        [hadolint, "--no-color", *IGNORED, "-"], input=text, capture_output=True, text=True, check=False
    )
    yield from (f"Dockerfile: {line}" for line in (linted.stdout + linted.stderr).splitlines())
    exposed = {int(port) for line in re.findall(r"^EXPOSE (.*)$", text, re.M) for port in line.split()}
    ports = set(manifests.ports.values())
    if exposed != ports:
        yield f"Dockerfile: exposes {sorted(exposed)}, the pod has {sorted(ports)}"
    security = manifests.pod["spec"]["securityContext"]
    user = f"{security.get('runAsUser')}:{security.get('runAsGroup')}"
    if re.findall(r"^USER (.*)$", text, re.M)[-1:] != [user]:
        yield f"Dockerfile: ends with another USER than the pod's, {user}"
    if security.get("fsGroup") != security.get("runAsGroup"):
        yield "the pod's fsGroup is not its group: it could not write to its volumes"
    for init in manifests.pod["spec"].get("initContainers", []):
        tool = init["command"][0]
        if f"/image{tool}" not in text:
            yield f"Dockerfile: has no {tool}, which the container {init['name']} runs"
    # Builders of OCI images, such as buildah, leave SHELL and its options aside.
    for run in re.findall(r"^RUN ((?:.*\\\n)*.*)$", text, re.M):
        script = re.sub(r"^(?:--\S+[\s\\]+)*", "", run)
        if not script.startswith(("[", "set -eu;")) and ";" in script:
            yield f"Dockerfile: a RUN of several commands goes on after one that fails; begin it with `set -eu;`: {script[:40]}"
    if not re.search(r'^ENTRYPOINT \["/', text, re.M):
        yield 'Dockerfile: the gateway must be process 1 to get SIGTERM; write ENTRYPOINT ["/…"]'


def context(ignored: str) -> Iterator[str]:
    """Checks that the build gets every crate of the workspace: cargo refuses a workspace with one missing."""
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    for folder in sorted({member.split("/")[0] for member in members}):
        if f"!{folder}" not in ignored.split():
            yield f"{DOCKERIGNORE.name}: keeps {folder}/ of the workspace out of the build; add !{folder}"
