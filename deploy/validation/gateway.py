"""The gateway itself on the deployed wasmgate.toml, with the image's paths mapped to this machine's."""

import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .manifests import DEPLOY, ROOT, Manifests
from .network import INTERNAL
from .pod import PROBES

# Where `make guests` leaves components.
GUESTS = ROOT / "target/wasm32-wasip2/release"

# A start compiles every package, on a busy machine with a debug build; one that takes longer hangs.
START_S = 120

# One answer, and the end after SIGTERM with nothing in flight.
PATIENCE_S = 30

# What of its log a problem shows, in characters: the last few lines.
LOG_TAIL = 2000

ADDRESS = "127.0.0.1:0"


def check(manifests: Manifests, base: Manifests, gateway: Path) -> Iterator[str]:
    """Checks the file with `wasmgate check`; with embedded building blocks also serves it."""
    with tempfile.TemporaryDirectory() as folder:
        text = mapped(manifests, base, folder)
        if text is None:
            print(f"no component is in {GUESTS}: the gateway is not asked; run `make guests`")
            return
        file = Path(folder) / "wasmgate.toml"
        file.write_text(text)
        checked = subprocess.run([gateway, "check", file], capture_output=True, text=True, check=False)
        if checked.returncode != 0:
            yield f"wasmgate check: {checked.stderr.strip()}"
        elif manifests.config()["dapr"]["mode"] == "embedded":
            yield from serves(manifests, [gateway, "up", file, "--listen", ADDRESS, "--admin", ADDRESS])


def mapped(manifests: Manifests, base: Manifests, folder: str) -> str | None:
    """The text of the configuration for this machine; None if there is no component at all."""
    text = manifests.config_text().replace('"/etc/dapr/components"', f'"{DEPLOY / "base/components"}"')
    text = re.sub(r'"/var/(cache|lib)/wasmgate/', rf'"{folder}/\1/', text)
    for source in sorted({each["source"] for each in base.config()["package"].values()}):
        component = built_component(source)
        if component is None:
            return None
        text = text.replace(f'"{source}"', f'"{component}"')
    return text


def built_component(source: str) -> Path | None:
    """The component, or any other in its place: what is checked is the file that names it."""
    wanted = GUESTS / PurePosixPath(source).name
    if wanted.exists():
        return wanted
    another = next(iter(sorted(GUESTS.glob("*.wasm"))), None)
    if another:
        print(f"{wanted.name} is not built; {another.name} stands in for it")
    return another


def serves(manifests: Manifests, command: list) -> Iterator[str]:
    """Starts the gateway, asks it what the probes and a stranger would ask, and ends it as the kubelet does."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        watchdog = threading.Timer(START_S, process.kill)
        watchdog.start()
        try:
            public, admin = addresses(process)
            if admin:
                yield from answers(manifests, public, admin)
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_S)
        finally:
            watchdog.cancel()
            process.kill()
            process.stdout.close()
        if code != 0 or not admin:
            log.seek(0)
            when = "after SIGTERM" if admin else "before it served"
            yield f"wasmgate up ended {when} with {code}: {log.read().strip()[-LOG_TAIL:]}"


def addresses(process: subprocess.Popen) -> tuple[str | None, str | None]:
    """Where it serves, once it says so; nothing if it ends before."""
    public = None
    for line in process.stdout:
        if found := re.match(r"(listening|admin) on (http://\S+)", line):
            if found[1] == "admin":
                return public, found[2]
            public = found[2]
    return None, None


def answers(manifests: Manifests, public: str, admin: str) -> Iterator[str]:
    for probe, path in PROBES.items():
        if (status := once_ready(admin + path)) != 200:
            yield f"{probe}: {path} answers {status}"
    for ingress in manifests.all("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for prefix in (path["path"].rstrip("/") for path in rule["http"]["paths"]):
                for internal in INTERNAL:
                    if (status := get(f"{public}{prefix}{internal}/x")) != 404:
                        yield f"{prefix}{internal}/x answers {status} to a stranger; it is Dapr's alone"


def once_ready(url: str) -> int:
    """The answer that stays: right after a start the gateway is not ready yet, and says 503."""
    deadline = time.monotonic() + PATIENCE_S
    while (status := get(url)) == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    return status


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
            return response.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
