"""A Kubernetes of one node in a network of its own: etcd from its package, Kubernetes and containerd from modules.

All that it makes has its name: the namespace, the control groups, and a folder. `Node.down` ends its processes by their
ids and takes the rest away.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import remains
from .configuration import ADDRESS, PLUGINS, write
from .remains import CGROUPS

# The servers in the order of their start; `down` goes the other way.
ETCD = "http://127.0.0.1:2379"

# The ports of clients on the node: Dapr's scheduler listens above them, all others below.
CLIENTS = "33000 49999"

# A start on a busy machine; what takes longer hangs.
PATIENCE_S = 300


class Forbidden(Exception):
    """The machine does not give what a node is made of."""


class Busy(Exception):
    """Another one is at work in the folder."""


class Node:
    """The node, its processes and its client."""

    def __init__(self, kube: Path, containerd: Path, folder: Path) -> None:
        self.kube, self.containerd, self.folder = kube, containerd, folder
        self.name = f"{remains.PREFIX}{os.getpid()}"
        self.lock: int | None = None
        self.running: dict[str, subprocess.Popen] = {}
        # What outlives a process and no machine: whoever waits for its disk would measure the machine's.
        self.memory = Path("/dev/shm") / self.name

    def inside(self, *command: str | Path) -> list[str]:
        """A command in the node's network. `ip netns exec` would hide the control groups."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)]

    def start(self, name: str, *command: str | Path) -> None:
        with open(self.folder / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                self.inside(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True,
            )

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess:
        command = self.inside(self.kube, "kubectl", f"--kubeconfig={self.folder}/admin.conf", *arguments)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def until(self, what: str, holds: Callable[[], object], patience: float = PATIENCE_S) -> object:
        """What a question answers once that is something; raises when that takes too long or a server has ended."""
        deadline = time.monotonic() + patience
        while not (answer := holds()):
            for name, process in self.running.items():
                if process.poll() is not None:
                    log = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{name} has ended with {process.returncode}:\n{log}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"gave up waiting for {what}")
            time.sleep(0.1)
        return answer

    def up(self) -> None:
        self.take()
        # Whoever was killed could not take its cluster down: a folder is removed when nothing is mounted in it.
        for name in remains.old():
            print(f"an earlier cluster is taken away: {name}", flush=True)
            remains.clear(name, self.places())
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.memory.mkdir(mode=0o755)
        try:
            self.network()
            self.control_groups()
        except (OSError, subprocess.CalledProcessError) as error:
            raise Forbidden(f"this machine lets nobody make networks and control groups: {error}") from error
        write(self.folder, self.name)
        kube, folder = self.kube, self.folder
        self.start("etcd", "etcd", "--data-dir", self.memory / "etcd", "--unsafe-no-fsync",
                   "--listen-client-urls", ETCD, "--advertise-client-urls", ETCD)
        # Its shim is the one beside it.
        path = f"{self.containerd.parent}:/usr/sbin:/usr/bin:{os.environ['PATH']}"
        self.start("containerd", "env", f"PATH={path}", self.containerd, "--config", folder / "containerd.toml")
        self.start("apiserver", kube, "apiserver", f"--etcd-servers={ETCD}", f"--advertise-address={ADDRESS}",
                   "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true",
                   "--kubelet-preferred-address-types=InternalIP", "--feature-gates=ImageVolume=true",
                   "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
                   *(f"--{flag}={folder}/{file}" for flag, file in (
                       ("service-account-key-file", "accounts.pub"),
                       ("service-account-signing-key-file", "accounts.key"),
                       ("token-auth-file", "tokens.csv"), ("tls-cert-file", "api.crt"),
                       ("tls-private-key-file", "api.key"))))
        self.until("the API", lambda: self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0)
        self.start("controllers", kube, "controllers", f"--kubeconfig={folder}/controllers.conf",
                   f"--service-account-private-key-file={folder}/accounts.key", f"--root-ca-file={folder}/ca.crt",
                   "--use-service-account-credentials=true", "--leader-elect=false")
        self.start("scheduler", kube, "scheduler", f"--kubeconfig={folder}/scheduler.conf", "--leader-elect=false")
        self.start("kubelet", kube, "kubelet", f"--config={folder}/kubelet.yaml", f"--kubeconfig={folder}/node.conf",
                   "--hostname-override=node", f"--node-ip={ADDRESS}", f"--root-dir={folder}/kubelet")
        self.start("proxy", kube, "proxy", f"--config={folder}/proxy.yaml", "--hostname-override=node")
        ready = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
        self.until("the node", lambda: "True" in self.kubectl("get", "nodes", "-o", ready, check=False).stdout)

    def take(self) -> None:
        """Has the folder to itself until the process ends."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(self.folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self.lock)
            self.lock = None
            raise Busy(f"another cluster is at work in {self.folder}") from error

    def places(self) -> list[Path]:
        """Where it mounts: the node's folder, and that of images beside it."""
        return [self.folder, self.folder.parent / "images"]

    def network(self) -> None:
        """Nothing of it meets the machine's own network."""
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        for line in (
            "ip link set lo up",
            "ip link add node0 type bridge",
            f"ip addr add {ADDRESS}/24 dev node0",
            "ip link set node0 up",
            "ip route add default dev node0",
            "sysctl -qw net.ipv4.ip_forward=1",
        ):
            subprocess.run(self.inside(*line.split()), check=True)
        # No client's port is one on which a server is to listen later.
        subprocess.run(self.inside("sysctl", "-qw", f"net.ipv4.ip_local_port_range={CLIENTS}"), check=True)

    def control_groups(self) -> None:
        """A group for the pods, in each hierarchy of version 1, or in the one of version 2."""
        for group in remains.groups(self.name):
            group.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (group.parent.name == "cpuset") and (group.parent / name).exists():
                    (group / name).write_text((group.parent / name).read_text())
            # All pods together are one among the machine's processes, whatever else it does, unless they weigh more.
            for name, most in (("cpu.shares", "65536"), ("cpu.weight", "10000")):
                if (group / name).exists():
                    (group / name).write_text(most)
        if (CGROUPS / "cgroup.controllers").exists():
            wanted = (CGROUPS / "cgroup.controllers").read_text().split()
            for each in (CGROUPS, CGROUPS / self.name):
                (each / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))

    def ctr(self, *arguments: str | Path) -> str:
        command = ["ctr", "-a", str(self.folder / "containerd.sock"), "-n", "k8s.io", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def down(self) -> None:
        """Ends every process that was started, and takes away what has the node's name."""
        if self.lock is None:
            return
        for name in ("proxy", "kubelet", "scheduler", "controllers"):
            self.end(name)
        tasks, containers = (self.ctr(what, "ls", "-q").split() if "containerd" in self.running else [] for what in ("tasks", "containers"))
        for task in tasks:
            self.ctr("tasks", "rm", "-f", task)
        for container in containers:
            self.ctr("containers", "rm", container)
        for name in list(self.running):
            self.end(name)
        remains.clear(self.name, self.places())

    def end(self, name: str) -> None:
        process = self.running.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def lacks() -> str | None:
    """What is not there that a cluster needs, in words."""
    if os.geteuid() != 0:
        return "a cluster is root's to start"
    programs = ("etcd", "ctr", "runc", "ip", "iptables", "conntrack", "nsenter", "openssl", "buildah")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in programs if not shutil.which(name, path=path)]
    if not (PLUGINS / "bridge").exists():
        missing.append(str(PLUGINS / "bridge"))
    return f"there is no {', '.join(missing)}" if missing else None
