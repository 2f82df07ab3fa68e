"""The shape of every object: Kubernetes' published schemas, and our own for Dapr's resources."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from .manifests import DAPR_GROUP, Manifests

# The oldest release that has everything in use (`preStop.sleep` on by default: 1.30), and the newest with a schema.
VERSIONS = ("1.30", kubernetes_validate.latest_version())

# The oldest that takes an image as a volume, if its feature gate is on; it is from 1.35 on.
IMAGE_VOLUMES = "1.33"

# Folders of others' definitions by their groups, which `deploy/validate` fetches as Go modules; without Go their objects
# are not checked.
DEFINITIONS = {
    "gateway.networking.k8s.io": os.environ.get("GATEWAY_API"),
    "monitoring.coreos.com": os.environ.get("PROMETHEUS_OPERATOR"),
}

DAPR_SCHEMAS = Path(__file__).with_name("dapr-schemas.yaml")


def check(manifests: Manifests) -> Iterator[str]:
    """Validates every object, Kubernetes' own without unknown fields."""
    seen = set()
    for each in manifests.objects:
        name = f"{each.get('kind')} {each.get('metadata', {}).get('name')}"
        if name in seen:
            yield f"{name}: there are two; rename one"
        seen.add(name)
        if "namespace" in each.get("metadata", {}):
            yield f"{name}: has a namespace; leave it to whoever applies it"
        for problem in of_group(str(each.get("apiVersion")))(each):
            yield f"{name}: {problem}"


def of_group(version: str) -> Callable[[dict], Iterator[str]]:
    if version.startswith(DAPR_GROUP):
        return of_dapr
    return of_definition if version.split("/")[0] in DEFINITIONS else of_kubernetes


def of_definition(each: dict) -> Iterator[str]:
    """Validates by the schema of the kind's own definition, without unknown fields."""
    group, named = each["apiVersion"].split("/")
    if not DEFINITIONS[group]:
        print(f"{each['kind']} {each['metadata']['name']} is not checked: Go is not there to fetch its definition")
        return
    kinds = [f"{each['kind'].lower()}{end}" for end in ("s", "es")]
    file = next((file for kind in kinds if (file := Path(DEFINITIONS[group]) / f"{group}_{kind}.yaml").exists()), None)
    if not file:
        yield f"{group} has no {each['kind']}"
        return
    versions = yaml.safe_load(file.read_text())["spec"]["versions"]
    schema = next((version["schema"]["openAPIV3Schema"] for version in versions if version["name"] == named), None)
    if schema is None:
        yield f"{group} has no {named} of {each['kind']}"
        return
    for error in jsonschema.Draft202012Validator(closed(schema)).iter_errors(each):
        yield f"not valid for {group}: {error.json_path}: {error.message}"


def closed(schema: dict) -> dict:
    """The schema without room for unknown fields, as the server has it; `metadata` is everybody's."""
    inner = {key: closed(value) if isinstance(value, dict) else value for key, value in schema.items()}
    if "properties" in inner and "additionalProperties" not in inner and inner["properties"]:
        inner["additionalProperties"] = False
    return inner


def of_kubernetes(each: dict) -> Iterator[str]:
    volumes = each.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", [])
    oldest = IMAGE_VOLUMES if any("image" in volume for volume in volumes) else VERSIONS[0]
    for version in (oldest, *VERSIONS[1:]):
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            yield f"not valid in Kubernetes {version}: {where}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"Kubernetes {version} has no such kind: {error}"


def of_dapr(each: dict) -> Iterator[str]:
    schemas = yaml.safe_load(DAPR_SCHEMAS.read_text())
    key = f"{each['apiVersion']} {each.get('kind')}"
    if key not in schemas["kinds"]:
        yield f"Dapr has no {key}; write one of {', '.join(schemas['kinds'])}"
        return
    schema = {"$defs": schemas["$defs"], **schemas["kinds"][key]}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(each):
        yield f"not valid for Dapr: {error.json_path}: {error.message}"
