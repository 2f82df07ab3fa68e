"""deploy/'s kustomizations, rendered for the node: its images, its volume, and what an injector would add."""

import copy
import json
import os
import subprocess
import tempfile
from pathlib import Path

import yaml

from .image import DEPLOY, GATEWAY
from .node import Node

# The image as deploy/base names it.
SHIPPED = "registry.example.com/wasmgate"


def render(node: Node, folder: str, tag: str) -> list[dict]:
    """The objects of a kustomization, with the node's image."""
    with tempfile.TemporaryDirectory() as place:
        outer = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            # Kustomize takes relative paths alone.
            "resources": [os.path.relpath(DEPLOY / folder, place)],
            "images": [{"name": SHIPPED, "newName": GATEWAY, "newTag": tag}],
        }
        (Path(place) / "kustomization.yaml").write_text(json.dumps(outer))
        done = subprocess.run([node.kube, "kubectl", "kustomize", place], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"deploy/{folder}: {done.stderr.strip()}")
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def dump(objects: list[dict]) -> str:
    return yaml.safe_dump_all(objects)


def volume(node: Node, claim: str) -> dict:
    """A folder of the node as the volume of a claim: no class of storage is here."""
    path = node.folder / f"volume-{claim}"
    path.mkdir(mode=0o777, exist_ok=True)
    path.chmod(0o777)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node"]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": claim},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": "shop", "name": claim},
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def find(objects: list[dict], kind: str) -> dict:
    return next(each for each in objects if each["kind"] == kind)


def without(objects: list[dict], *kinds: str) -> list[dict]:
    return [each for each in copy.deepcopy(objects) if each["kind"] not in kinds]
