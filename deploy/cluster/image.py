"""Images by buildah, from nothing but this machine: the shipped Dockerfile's last stage on a base of our own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from .configuration import PAUSE
from .node import Node

DEPLOY = Path(__file__).resolve().parent.parent
ROOT = DEPLOY.parent
PACKAGES = ROOT / "target/wasm32-wasip2/release"

GATEWAY = "wasmgate.test/wasmgate"
SIDECAR = "wasmgate.test/daprd:1"

SLEEPER = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"


class Images:
    """Builds images in a folder and gives them to a node."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node, self.folder = node, folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def buildah(self, *arguments: str | Path) -> str:
        places = [f"--root={self.folder}/store", f"--runroot={self.folder}/run", "--storage-driver=vfs"]
        command = ["buildah", *places, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"buildah {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout.strip()

    def build(self, name: str, tree: Path, dockerfile: str, **arguments: str) -> None:
        """Builds an image of a folder, and imports it."""
        file = self.folder / "Dockerfile"
        file.write_text(dockerfile)
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        self.buildah("bud", "--isolation=chroot", "--quiet", "--layers=false", *given, "-t", name, "-f", file, tree)

    def import_into_node(self, name: str) -> int:
        """Gives the image to the node; its size in bytes, as a registry would keep it unpacked."""
        archive = self.folder / "image.tar"
        archive.unlink(missing_ok=True)
        self.buildah("push", "--quiet", name, f"docker-archive:{archive}:{name}")
        self.node.ctr("images", "import", archive)
        size = archive.stat().st_size
        archive.unlink()
        if name not in self.node.ctr("images", "ls", "-q").split():
            raise RuntimeError(f"containerd did not take the image {name}")
        return size

    def pause(self) -> None:
        tree = self.tree("pause")
        compiler = ["cc", "-static", "-O2", "-x", "c", "-", "-o", tree / "pause"]
        subprocess.run(compiler, input=SLEEPER, text=True, check=True)
        self.build(PAUSE, tree, 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
        self.import_into_node(PAUSE)

    def sidecar(self, binary: Path) -> None:
        tree = self.tree("daprd")
        place(binary, tree, tree / "daprd")
        for library in libraries(binary):
            place(library, tree, tree / library.relative_to("/"))
        self.build(SIDECAR, tree, "FROM scratch\nCOPY . /\n")
        self.import_into_node(SIDECAR)

    def gateway(self, binary: Path, tags: tuple[str, ...]) -> int:
        """The gateway's image under each tag; its size in bytes."""
        self.build("wasmgate.test/base", self.runtime(binary), "FROM scratch\nCOPY . /\n")
        shipped = (DEPLOY / "Dockerfile").read_text()
        # From the last FROM on; what comes before it compiles, which has been done here.
        last = shipped[shipped.rindex("\nFROM ") + 1 :]
        stage = "ARG RUNTIME\nFROM scratch AS builder\nCOPY image/ /image/\n"
        size = 0
        for tag in tags:
            name = f"{GATEWAY}:{tag}"
            self.build(name, self.content(binary), stage + last, RUNTIME="wasmgate.test/base")
            size = self.import_into_node(name)
        return size

    def runtime(self, binary: Path) -> Path:
        """What distroless has: the loader and the libraries of the gateway and of `cp`."""
        tree = self.tree("base")
        for program in (binary, Path("/bin/cp")):
            for library in libraries(program):
                place(library, tree, tree / library.relative_to("/"))
        return tree

    def content(self, binary: Path) -> Path:
        """What the Dockerfile's first stage leaves in /image."""
        tree = self.tree("content")
        image = tree / "image"
        place(binary, tree, image / "usr/local/bin/wasmgate")
        subprocess.run(["strip", image / "usr/local/bin/wasmgate"], check=True)
        place(Path("/bin/cp"), tree, image / "usr/bin/cp")
        shipped = (DEPLOY / "base/wasmgate.toml").read_text()
        for name in re.findall(r'^source = "/packages/(.*)"$', shipped, re.M):
            place(PACKAGES / name, tree, image / "packages" / name)
        place(DEPLOY / "base/wasmgate.toml", tree, image / "etc/wasmgate/wasmgate.toml")
        for each in (DEPLOY / "base/components").glob("*.yaml"):
            place(each, tree, image / "etc/dapr/components" / each.name)
        for name in ("var/lib/wasmgate", "var/cache/wasmgate"):
            (image / name).mkdir(parents=True)
        self.compile(image, shipped)
        return tree

    def compile(self, image: Path, shipped: str) -> None:
        """Compiles the packages into the image's cache, as the Dockerfile does."""
        text = shipped.replace('"/packages/', f'"{image}/packages/')
        text = text.replace('"/etc/dapr/components"', f'"{image}/etc/dapr/components"')
        text = text.replace('"/var/cache/wasmgate/code"', f'"{image}/var/cache/wasmgate/code"')
        file = self.folder / "wasmgate.toml"
        file.write_text(text)
        subprocess.run([image / "usr/local/bin/wasmgate", "compile", file], check=True, capture_output=True)

    def tree(self, name: str) -> Path:
        tree = self.folder / name
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        return tree


def place(file: Path, tree: Path, at: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    assert at.is_relative_to(tree)
    shutil.copy(os.path.realpath(file), at)


def libraries(program: Path) -> list[Path]:
    """Everything that the loader loads for it, and the loader."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [Path(each) for each in re.findall(r"(/\S+) \(0x", told)]
