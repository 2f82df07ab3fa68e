"""What stands beside the gateways of the overlay: Redis, PostgreSQL and Dapr's scheduler, as processes on the node."""

import os
import shutil
import subprocess
from pathlib import Path

from .configuration import ADDRESS
from .node import Node

PASSWORD = "of-the-test"
POSTGRES = f"host={ADDRESS} port=5432 user=postgres dbname=postgres sslmode=disable"
SCHEDULER = f"{ADDRESS}:50006"

# The only replica of the scheduler, by the name that it has to have.
ID = "dapr-scheduler-server-0"


class Services:
    """Each is started where its data are, and may be ended and started again: as a process, the machine stays on."""

    def __init__(self, node: Node, scheduler: Path) -> None:
        self.node, self.scheduler = node, scheduler

    def start(self) -> None:
        for folder in ("redis", "scheduler"):
            (self.node.memory / folder).mkdir(exist_ok=True)
        self.redis()
        self.postgres()
        self.node.start(
            "scheduler-of-dapr", self.scheduler, "--id", ID, "--listen-address", ADDRESS, "--port", "50006",
            "--override-broadcast-host-port", SCHEDULER, "--etcd-data-dir", self.node.memory / "scheduler",
            # Not the ports of the cluster's own etcd.
            "--etcd-client-listen-address", ADDRESS, "--etcd-client-port", "2389",
            "--etcd-initial-cluster", f"{ID}=http://{ADDRESS}:2390", "--healthz-port", "0", "--enable-metrics=false",
        )
        self.node.until("Dapr's scheduler", self.schedules)

    def schedules(self) -> bool:
        """Whether the scheduler listens: sidecars that cannot reach it never get ready."""
        command = self.node.inside("bash", "-c", f"exec 3<>/dev/tcp/{SCHEDULER.replace(':', '/')}")
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def redis(self) -> None:
        self.node.start(
            "redis", "redis-server", "--bind", ADDRESS, "--dir", self.node.memory / "redis", "--save", "",
            "--requirepass", PASSWORD, "--appendonly", "yes", "--appendfsync", "always",
        )

    def postgres(self) -> None:
        programs = self.programs()
        data = self.node.memory / "postgres"
        # PostgreSQL refuses to be root's.
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if not data.exists():
            data.mkdir()
            shutil.chown(data, "postgres", "postgres")
            prepare = [*as_user, programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
            subprocess.run(prepare, check=True, capture_output=True, cwd="/")
            # Everybody here is a pod of the test.
            (data / "pg_hba.conf").write_text("host all all 0.0.0.0/0 trust\n")
        # Shared memory in its folder: in /dev/shm it would stay there when it is killed.
        shared = ("-c", "dynamic_shared_memory_type=mmap")
        self.node.start(
            "postgres", *as_user, programs / "postgres", "-D", data, "-h", ADDRESS, "-k", "", "-p", "5432", *shared
        )

    def answers(self, name: str) -> bool:
        """Whether it does what it is there for: it may listen while it still reads its data."""
        command = {
            "redis": ("redis-cli", "-h", ADDRESS, "-a", PASSWORD, "--no-auth-warning", "PING"),
            "postgres": (self.programs() / "pg_isready", "-h", ADDRESS, "-p", "5432"),
        }[name]
        asked = subprocess.run(self.node.inside(*command), capture_output=True, text=True, check=False)
        return asked.returncode == 0 and asked.stdout.strip() != "" and "LOADING" not in asked.stdout

    @staticmethod
    def programs() -> Path:
        return sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]

    def kill(self, name: str) -> None:
        """Ends it as a loss of power does."""
        process = self.node.running.pop(name)
        os.kill(process.pid, 9)
        process.wait()


def lacks() -> str | None:
    """What is not there that they need, in words."""
    missing = [name for name in ("redis-server", "redis-cli", "setpriv") if not shutil.which(name)]
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        missing.append("postgres")
    return f"there is no {', '.join(missing)}" if missing else None
