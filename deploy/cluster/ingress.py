"""nginx in front of the overlay, as an ingress controller stands there: kept connections, and no POST is sent twice."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from .node import Node
from .shop import Shop
from .table import Row, Table

PORT = 8088
POSTS = int(os.environ.get("WASMGATE_POSTS", "50000"))

CONFIGURATION = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  upstream wasmgate {{ server {service}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://wasmgate;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }}
  }}
}}
"""


def run(shop: Shop, table: Table) -> None:
    table.attempt(f"behind nginx: rollouts during {POSTS} POSTs", "0 failed", partial(posted, shop))


def posted(shop: Shop, row: Row) -> None:
    node = shop.node
    begin(shop, node)
    command = node.inside(sys.executable, Path(__file__).with_name("posts.py"), f"http://127.0.0.1:{PORT}", str(POSTS))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    rollouts = 0
    while process.poll() is None:
        shop.kubectl("rollout", "restart", "deployment/wasmgate")
        shop.ready("deployment/wasmgate")
        rollouts += 1
    seen = json.loads(process.communicate()[0])
    row.tell(f"{seen['answered']} answered, {len(seen['failed'])} failed, {rollouts} rollouts, {seen['seconds']:.0f} s")
    row.need(not seen["failed"], f"failed: {seen['failed'][:5]}")
    row.need(rollouts > 0, "there was no rollout meanwhile")


def begin(shop: Shop, node: Node) -> None:
    service = shop.url().removeprefix("http://")
    file = node.folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=node.folder, service=service, port=PORT))
    node.start("nginx", "nginx", "-c", file)
