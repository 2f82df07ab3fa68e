"""Builds build/app.wasm: Python's interpreter, which has imported src/main.py already.

The tools come into .venv, the packages of requirements.txt into .venv/packages: pure Python alone, as only that is
Python for a component too.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys
import venv

TOOLS = "componentize-py==0.25.1"
PURE = ["--platform", "any", "--implementation", "py", "--abi", "none", "--only-binary", ":all:"]

folder = pathlib.Path(__file__).parent.resolve()
tools = folder / ".venv"
python = tools / "bin/python"
requirements = folder / "requirements.txt"
installed = tools / "installed"


def run(*command):
    ended = subprocess.run(command, cwd=folder, check=False)
    if ended.returncode != 0:
        sys.exit(ended.returncode)


def install():
    wanted = TOOLS + requirements.read_text()
    if installed.exists() and installed.read_text() == wanted:
        return
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit("this Python makes no venv: install its package ensurepip (Debian: python3-venv)")
    venv.create(tools, with_pip=True, clear=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, TOOLS)
    (tools / "packages").mkdir()
    if any(line.strip() and not line.startswith("#") for line in requirements.read_text().splitlines()):
        run(*pip, "--target", tools / "packages", *PURE, "-r", requirements)
    installed.write_text(wanted)


install()
(folder / "build").mkdir(exist_ok=True)
paths = ["-p", folder / "src", "-p", tools / "packages"]
made = folder / "build/app.new"
run(tools / "bin/componentize-py", "-q", "-d", "wit", "-w", "app", "componentize", *paths, "main", "-o", made)
os.replace(made, folder / "build/app.wasm")
