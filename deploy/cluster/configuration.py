"""The files that the servers of the node read: keys, tokens, and a configuration for each."""

import json
import secrets
import subprocess
from pathlib import Path

# The node's address, on a bridge in its own network, and the pods' range beside it.
ADDRESS = "10.77.0.1"
PODS = "10.78.0.0/24"

# Where Debian's containernetworking-plugins are.
PLUGINS = Path("/usr/lib/cni")

# The image that holds a pod's namespaces: `image.pause` makes it.
PAUSE = "wasmgate.test/pause:1"

USERS = {
    "admin": "admin,1,system:masters",
    "controllers": "system:kube-controller-manager,2",
    "scheduler": "system:kube-scheduler,3",
    "node": "system:node:node,4,system:nodes",
    "proxy": "system:kube-proxy,5",
}

NAMES = ",".join(
    ["DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default.svc", "IP:127.0.0.1", f"IP:{ADDRESS}", "IP:10.96.0.1"]
)

# restrict_oom_score_adj: where there is no right to lower it, no container would start.
CONTAINERD = """
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
netns_mounts_under_state_dir = true
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"
"""


def write(folder: Path, group: str) -> None:
    """Writes all of them."""
    keys(folder)
    lines = []
    for name, identity in USERS.items():
        token = secrets.token_hex(16)
        lines.append(f"{token},{identity}\n")
        save(folder / f"{name}.conf", client(folder, token))
    (folder / "tokens.csv").write_text("".join(lines))
    (folder / "containerd.toml").write_text(CONTAINERD.format(folder=folder, pause=PAUSE, plugins=PLUGINS))
    (folder / "cni").mkdir()
    save(folder / "cni/10-bridge.conflist", pod_network(folder))
    # Pods look no names up: what they call is named by its address.
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    save(folder / "kubelet.yaml", kubelet(folder, group))
    save(folder / "proxy.yaml", proxy(folder))


def save(path: Path, what: dict) -> None:
    """JSON is YAML."""
    path.write_text(json.dumps(what))


def keys(folder: Path) -> None:
    elliptic = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    (folder / "names").write_text(f"subjectAltName={NAMES}\n")
    for line in (
        f"req -x509 {elliptic} -days 30 -keyout ca.key -out ca.crt -subj /CN=wasmgate-test",
        f"req {elliptic} -keyout api.key -out api.csr -subj /CN=kube-apiserver",
        "x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out api.crt -extfile names",
        "genrsa -out accounts.key 2048",
        "rsa -in accounts.key -pubout -out accounts.pub",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)


def client(folder: Path, token: str) -> dict:
    server = {"server": "https://127.0.0.1:6443", "certificate-authority": f"{folder}/ca.crt"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "test",
    }


def pod_network(folder: Path) -> dict:
    addresses = {
        "type": "host-local",
        "dataDir": f"{folder}/addresses",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def kubelet(folder: Path, group: str) -> dict:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{group}",
        "failCgroupV1": False,
        # On by itself from 1.35 on.
        "featureGates": {"ImageVolume": True},
        "failSwapOn": False,
        "resolvConf": f"{folder}/resolv.conf",
        "podLogsDir": f"{folder}/pods",
        # The disk and the memory are the machine's, which does other things too.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
    }


def proxy(folder: Path) -> dict:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": f"{folder}/proxy.conf"},
        "clusterCIDR": PODS,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
