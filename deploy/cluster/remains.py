"""What a cluster leaves on the machine, found by its name and its folders and taken away: also that of a run that was
killed and could not do it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

# A cluster's name is this and the id of its process.
PREFIX = "wasmgate-"

CGROUPS = Path("/sys/fs/cgroup")
NETWORKS = Path("/run/netns")
MEMORY = Path("/dev/shm")

# What a killed process takes until it is gone.
END_S = 20.0


def groups(name: str) -> list[Path]:
    """The group of a cluster's pods in each hierarchy of version 1, or in the one of version 2."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / name]
    return [each / name for each in CGROUPS.iterdir() if each.is_dir() and not each.is_symlink()]


def old() -> set[str]:
    """The names of clusters whose process is no more."""
    places = [NETWORKS, MEMORY, *{group.parent for group in groups(PREFIX)}]
    found = {each.name for place in places if place.is_dir() for each in place.glob(f"{PREFIX}*")}
    numbers = {name: name.removeprefix(PREFIX) for name in found}
    return {name for name, pid in numbers.items() if pid.isdigit() and not Path(f"/proc/{pid}").exists()}


def clear(name: str, folders: Iterable[Path]) -> None:
    """Ends each process of a cluster, and takes its mounts, network, memory and control groups away."""
    folders = [str(each) for each in folders]
    deadline = time.monotonic() + END_S
    while (left := set(processes(name, folders))) and time.monotonic() < deadline:
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    for mount in mounts(folders):
        subprocess.run(["umount", "-l", mount], check=False)
    if (NETWORKS / name).exists():
        subprocess.run(["ip", "netns", "del", name], check=False)
    subprocess.run(["rm", "-rf", "--one-file-system", str(MEMORY / name)], check=False)
    for group in groups(name):
        for each in sorted(group.rglob("*/"), reverse=True) + [group]:
            if each.is_dir():
                subprocess.run(["rmdir", str(each)], check=False, capture_output=True)


def mounts(folders: list[str]) -> list[str]:
    """What is mounted below the folders, the innermost first."""
    lines = Path("/proc/mounts").read_text().splitlines()
    points = [line.split()[1].encode().decode("unicode_escape") for line in lines]
    return [each for each in reversed(points) if any(each.startswith(f"{folder}/") for folder in folders)]


def processes(name: str, folders: list[str]) -> Iterator[int]:
    """Those in its control groups and in its network, and what containerd has beside its containers."""
    for group in groups(name):
        for file in group.rglob("cgroup.procs"):
            yield from map(int, file.read_text().split())
    network = (NETWORKS / name).stat().st_ino if (NETWORKS / name).exists() else None
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            inside = network is not None and (process / "ns/net").stat().st_ino == network
        except OSError:
            continue
        shim = Path(words[0]).name.startswith("containerd-shim") and any(
            word.startswith(f"{folder}/") for word in words for folder in folders
        )
        if state != "Z" and (inside or shim):
            yield int(process.name)
