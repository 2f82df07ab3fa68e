//! Comments in rendered manifests: why an object or a line is as it is.

/// The longest line of a comment, in characters, with what stands before it.
const WIDTH: usize = 120;

/// What stands above the line that begins like this, its indentation included, or above the whole file.
type Comment = (&'static str, &'static str);

/// A text of YAML with its comments.
pub(super) fn explained(file: &str, text: &str) -> String {
    let (above, within) = comments(file);
    let mut whole = lines("", above);
    let mut rest = within.to_vec();
    for line in text.lines() {
        if let Some(at) = rest.iter().position(|(start, _)| line.starts_with(start)) {
            let (start, comment) = rest.remove(at);
            let indent = start.len() - start.trim_start().len();
            whole.push_str(&lines(&" ".repeat(indent), comment));
        }
        whole.push_str(line);
        whole.push('\n');
    }
    whole
}

/// A comment, broken into lines.
fn lines(indent: &str, comment: &str) -> String {
    let mut whole = String::new();
    let mut line = String::new();
    for word in comment.split_whitespace() {
        if !line.is_empty() && indent.len() + "# ".len() + line.len() + 1 + word.len() > WIDTH {
            whole.push_str(&format!("{indent}# {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        whole.push_str(&format!("{indent}# {line}\n"));
    }
    whole
}

/// What is said above a file, and within it. An indentation is that of one place, so that no text of a project's own,
/// which stands further in, is taken for it.
fn comments(file: &str) -> (&'static str, &'static [Comment]) {
    match file {
        "serviceaccount.yaml" => (
            "Its own account and no token: neither the gateway nor a guest talks to the cluster.",
            &[],
        ),
        "configmap.yaml" => (
            "Its name stays, and the gateway watches it: a change is served where the pod runs as soon as the kubelet \
             has written it there (within two minutes), without a rollout. What needs a restart is told by /readyz.",
            &[],
        ),
        "components.yaml" => (
            "The component files of the embedded building blocks, which are watched too.",
            &[],
        ),
        "storage.yaml" => (
            "The embedded building blocks: state, undelivered events, jobs. What was acknowledged must outlive the \
             pod, so this is a claim and no emptyDir. One process at a time holds the database. The claim is an object \
             of its own and no template of the StatefulSet: it keeps its name, and stays when that is deleted. Where \
             the storage class is a CSI driver's, ReadWriteOncePod has the cluster keep a second pod from it.",
            &[],
        ),
        "statefulset.yaml" => (
            "A StatefulSet, since its pod has data: it makes a new pod when the old one is gone, and never beside it, \
             whoever deletes, evicts or drains that. A Deployment, even with `Recreate`, has the two side by side \
             then.",
            STATEFUL_SET,
        ),
        "deployment.yaml" => (
            "No pod has data, so that they may stand side by side: any number of them, and rollouts without a gap.",
            POD,
        ),
        "service.yaml" => (
            "The public listener only: not the admin listener, and no port of a sidecar.",
            &[],
        ),
        "networkpolicy.yaml" => (
            "Who may reach the pods: everyone the public listener, one namespace the metrics. Probes come from the \
             node, which network policies let through.",
            &[],
        ),
        "disruption.yaml" => (
            "A node is drained one pod at a time. `minAvailable: 1` would never let a single pod go.",
            &[],
        ),
        "autoscaler.yaml" => (
            "As many pods as their work needs, and two at least, so that one may go.",
            &[(
                "    scaleDown:",
                "Each pod that goes drains, and its events go on elsewhere.",
            )],
        ),
        "ingress.yaml" => (
            "Everything leads to the gateway, which decides what is behind it: what a package serves to Dapr \
             (`/dapr/*`, events, jobs, bindings) has no route, so it is 404.",
            &[],
        ),
        "httproute.yaml" => (
            "Everything leads to the gateway, whose routes decide what is behind it.",
            &[],
        ),
        "configuration.yaml" => (
            "What the gateway's sidecar does beyond its components.",
            &[
                (
                    "  accessControl:",
                    "Nobody invokes the gateway's packages through Dapr; they call each other in process.",
                ),
                (
                    "  secrets:",
                    "No guest reads the cluster's secrets, whatever wasmgate.toml grants.",
                ),
                (
                    "  tracing:",
                    "Set an endpoint and a rate for traces. Their context is passed on either way.",
                ),
            ],
        ),
        "metrics.yaml" => (
            "The metrics of each pod, ready or not: it is those that are not which alerts are about. It is no way \
             around the NetworkPolicy.",
            &[],
        ),
        "rules.yaml" => (
            "The alerts, about the metrics of the job that the operator calls as their Service.",
            &[],
        ),
        _ => ("", &[]),
    }
}

/// Of a pod with data, and of every pod.
const STATEFUL_SET: &[Comment] = &[
    (
        "  podManagementPolicy:",
        "Otherwise a pod that does not get ready is not replaced by one of a revision that would: no rollback.",
    ),
    (
        "  replicas:",
        "The embedded building blocks live in one process; with a sidecar there may be more.",
    ),
    ("  serviceName:", "Nobody calls a pod by a name of its own."),
    LIFECYCLE,
    LIVENESS,
    RESOURCES,
    CACHE,
    GRACE,
];

/// Of a pod without data, which may have a sidecar.
const POD: &[Comment] = &[
    (
        "        dapr.io/app-health-check-path:",
        "From SIGTERM on the gateway's checks fail, and it serves until the sidecar has seen so many of them: then \
         that takes no more events, and what it has taken is delivered.",
    ),
    (
        "        dapr.io/app-port:",
        "The gateway's `[dapr] listen`, on the pod's loopback: what calls back there can deliver events.",
    ),
    (
        "        dapr.io/disable-builtin-k8s-secret-store:",
        "The pod has no token of the cluster; the operator resolves the secrets of components.",
    ),
    (
        "        dapr.io/enable-native-sidecar:",
        "The sidecar begins before the gateway and gets SIGTERM when the gateway has ended: what is in flight there \
         keeps it, however long it takes. So there is nothing for it to wait for, no `block-shutdown-duration`.",
    ),
    (
        "        dapr.io/metrics-port:",
        "Dapr's default, 9090, is the gateway's admin listener: the two share the pod's network.",
    ),
    LIFECYCLE,
    LIVENESS,
    RESOURCES,
    CACHE,
    GRACE,
];

const LIFECYCLE: Comment = (
    "        lifecycle:",
    "From SIGTERM on the gateway takes no connection. Until the load balancers know, it goes on serving.",
);

const LIVENESS: Comment = (
    "        livenessProbe:",
    "The admin listener answers before the packages are loaded: alive at once, ready when they are.",
);

const RESOURCES: Comment = (
    "        resources:",
    "No limit on the CPU: throttling is latency, and guests give way to each other by themselves.",
);

const CACHE: Comment = (
    "      - command:",
    "The image's root is read-only, and the gateway writes to its cache: it starts from a copy of the code that was \
     compiled into the image. On another processor than the builder's that code is left alone and the packages are \
     compiled at the start.",
);

const GRACE: Comment = (
    "      terminationGracePeriodSeconds:",
    "Longer than preStop and `drain_timeout` together, with 10 s to spare: a SIGKILL in the middle of the drain would \
     cut the requests that the drain is for.",
);
