"""The rendered objects of a kustomization, and what the checks look up in them."""

import json
import os
import re
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parent.parent
ROOT = DEPLOY.parent

# Where Kubernetes' own kinds end and Dapr's begin.
DAPR_GROUP = "dapr.io/"

# `drain_timeout` unless wasmgate.toml sets it.
DRAIN = "30s"

# How long Kubernetes waits before it kills unless told otherwise.
GRACE_S = 30

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


@dataclass
class Manifests:
    """What `kubectl apply -k` would send."""

    name: str
    objects: list[dict]

    def all(self, kind: str) -> list[dict]:
        return [each for each in self.objects if each.get("kind") == kind]

    def find(self, kind: str, name: str) -> dict | None:
        named = (each for each in self.all(kind) if each["metadata"]["name"] == name)
        return next(named, None)

    @property
    def workload(self) -> dict:
        """What has the pods: a StatefulSet where they have data, or else a Deployment."""
        return next(each for each in self.objects if each.get("kind") in ("StatefulSet", "Deployment"))

    @property
    def pod(self) -> dict:
        return self.workload["spec"]["template"]

    @property
    def container(self) -> dict:
        containers = self.pod["spec"]["containers"]
        return next(each for each in containers if each["name"] == "wasmgate")

    @property
    def annotations(self) -> dict:
        return self.pod["metadata"].get("annotations", {})

    @property
    def ports(self) -> dict[str, int]:
        return {each["name"]: each["containerPort"] for each in self.container["ports"]}

    @property
    def grace_ms(self) -> int:
        """From the decision to end the pod to SIGKILL."""
        return 1000 * self.pod["spec"].get("terminationGracePeriodSeconds", GRACE_S)

    @property
    def sleep_ms(self) -> int:
        """From that decision to SIGTERM."""
        return 1000 * self.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)

    @property
    def leave_ms(self) -> int:
        """From that decision to the last answer."""
        return self.sleep_ms + milliseconds(self.config()["server"].get("drain_timeout", DRAIN))

    def config_text(self) -> str:
        """The wasmgate.toml that the pod gets, by its volume."""
        volumes = self.pod["spec"]["volumes"]
        name = next(each for each in volumes if each["name"] == "config")["configMap"]["name"]
        config = self.find("ConfigMap", name)
        return config["data"]["wasmgate.toml"] if config else ""

    def config(self) -> dict:
        return tomllib.loads(self.config_text())


def render(folder: Path, *components: str) -> Manifests:
    """Renders a kustomization, with components of `deploy/` if asked, by the tool that `deploy/validate` found."""
    tool = os.environ.get("KUSTOMIZE", "kubectl kustomize").split()
    with tempfile.TemporaryDirectory() as place:
        outer = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            # Kustomize takes relative paths alone.
            "resources": [os.path.relpath(folder, place)],
            "components": [os.path.relpath(DEPLOY / each, place) for each in components],
        }
        (Path(place) / "kustomization.yaml").write_text(json.dumps(outer))
        rendered = subprocess.run([*tool, place], check=True, capture_output=True, text=True)
    objects = [each for each in yaml.safe_load_all(rendered.stdout) if each]
    return Manifests(" with ".join([str(folder.relative_to(DEPLOY)), *components]), objects)


def shipped() -> dict:
    """The wasmgate.toml of `make run`."""
    return tomllib.loads((ROOT / "wasmgate.toml").read_text())


def milliseconds(text: str) -> int:
    """A duration as wasmgate.toml and Dapr write it."""
    found = re.fullmatch(r"(\d+)(ms|s|m|h)", str(text))
    if not found:
        raise ValueError(f"{text!r} is no duration; write a number with ms, s, m or h")
    return int(found[1]) * UNITS_MS[found[2]]


def port(address: str) -> int:
    """The port of `host:port`."""
    return int(address.rpartition(":")[2])
