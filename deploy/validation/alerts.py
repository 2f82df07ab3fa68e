"""The alert rules, which promtool reads and tries: each fires where something is wrong, and none where nothing is."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from .manifests import Manifests

# How long a trial is, in minutes: longer than any alert looks back and waits.
LENGTH_M = 60

# What a gateway shows: each series at its begin and what comes to it every minute, first where nobody is to be told, then
# where all alerts are to fire.
SERIES = {
    "up": ((1, 0), (0, 0)),
    "wasmgate_ready": ((1, 0), (0, 0)),
    "wasmgate_sidecar_ready": ((1, 0), (0, 0)),
    "wasmgate_last_reload_successful": ((1, 0), (0, 0)),
    'wasmgate_requests_total{package="shop",status="200"}': ((0, 6000), (0, 6000)),
    'wasmgate_requests_total{package="shop",status="404"}': ((0, 600), (0, 0)),
    'wasmgate_requests_total{package="shop",status="503"}': ((0, 60), (0, 600)),
    'wasmgate_packages{state="registered"}': ((5, 0), (5, 0)),
    'wasmgate_packages{state="unavailable"}': ((0, 0), (1, 0)),
    'wasmgate_packages{state="stale"}': ((0, 0), (1, 0)),
    'wasmgate_refusals_total{package="shop",reason="no-route"}': ((0, 600), (0, 600)),
    'wasmgate_refusals_total{package="shop",reason="queue-full"}': ((7, 0), (7, 1)),
    'wasmgate_refusals_total{package="shop",reason="package-replaced"}': ((7, 0), (7, 1)),
    'wasmgate_memory_bytes{state="used"}': ((600, 0), (950, 0)),
    'wasmgate_memory_bytes{state="reserved"}': ((950, 0), (950, 0)),
    'wasmgate_memory_bytes{state="limit"}': ((1000, 0), (1000, 0)),
    'wasmgate_pool_refusals_total{reason="memories-exhausted"}': ((7, 0), (7, 1)),
    'wasmgate_deliveries_total{package="shop",kind="event",result="done"}': ((0, 60), (0, 60)),
    'wasmgate_deliveries_total{package="shop",kind="event",result="dead-lettered"}': ((7, 0), (7, 1)),
    'wasmgate_dapr_queued_events{app_id="shop",topic="orders",state="waiting"}': ((9, 0), (9, 0)),
    'wasmgate_dapr_queued_events{app_id="shop",topic="orders",state="parked"}': ((0, 0), (1, 0)),
    'wasmgate_dapr_oldest_event_age_seconds{app_id="shop",topic="orders",state="waiting"}': ((5, 0), (9, 60)),
    'wasmgate_dapr_oldest_event_age_seconds{app_id="shop",topic="orders",state="parked"}': ((0, 60), (0, 60)),
}


def check(manifests: Manifests) -> Iterator[str]:
    """Everything about the rules of a rendering, and that something finds the metrics that they are about."""
    for each in manifests.all("PrometheusRule"):
        yield from monitored(manifests)
        yield from tried(each)


def monitored(manifests: Manifests) -> Iterator[str]:
    services = [each["metadata"].get("labels", {}).items() for each in manifests.all("Service")]
    for each in manifests.all("ServiceMonitor"):
        wanted = each["spec"]["selector"]["matchLabels"].items()
        if sum(wanted <= labels for labels in services) != 1:
            yield f"ServiceMonitor {each['metadata']['name']}: it must find one Service, that of the metrics"
    if not manifests.all("ServiceMonitor"):
        yield "there are rules, and no ServiceMonitor for what they are about"


def tried(rule: dict) -> Iterator[str]:
    if not shutil.which("promtool"):
        print("the alerts are not tried: there is no promtool (Debian's prometheus)")
        return
    groups = rule["spec"]["groups"]
    names = [each["alert"] for group in groups for each in group["rules"]]
    job = f"{rule['metadata']['name']}-metrics"
    trials = [trial(job, 0, []), trial(job, 1, names), trial("another", 1, ["WasmgateDown"])]
    with tempfile.TemporaryDirectory() as place:
        rules, tests = Path(place) / "rules.yaml", Path(place) / "tests.yaml"
        rules.write_text(yaml.safe_dump({"groups": groups}))
        tests.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": trials}))
        for words in (("check", "rules", rules), ("test", "rules", tests)):
            done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                yield f"promtool {words[0]} rules: {done.stdout.strip()} {done.stderr.strip()}"


def trial(job: str, way: int, firing: list[str]) -> dict:
    """Series of a job that go one of both ways, and the alerts that are firing in the end."""
    labels = {"job": job, "namespace": "shop", "pod": "wasmgate-0", "instance": "10.0.0.1:9090"}
    told = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    series = []
    for name, ways in SERIES.items():
        metric, _, own = name.rstrip("}").partition("{")
        begin, step = ways[way]
        series.append({"series": f"{metric}{{{own}{',' if own else ''}{told}}}", "values": f"{begin}+{step}x{LENGTH_M}"})
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)]
    asked = {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": f"{LENGTH_M}m", "exp_samples": samples}
    return {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
