"""The shape of every object: Kubernetes' published schemas, and our own for Dapr's resources."""

from collections.abc import Iterator
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from .manifests import DAPR_GROUP, Manifests

# The oldest release that has everything in use (`preStop.sleep` on by default: 1.30), and the newest with a schema.
VERSIONS = ("1.30", kubernetes_validate.latest_version())

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
        dapr = str(each.get("apiVersion")).startswith(DAPR_GROUP)
        for problem in of_dapr(each) if dapr else of_kubernetes(each):
            yield f"{name}: {problem}"


def of_kubernetes(each: dict) -> Iterator[str]:
    for version in VERSIONS:
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
