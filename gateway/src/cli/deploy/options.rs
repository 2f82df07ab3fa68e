//! The options of a rendering.

use clap::Args;

use super::names::{self, Size};

/// Who may mount a volume, as Kubernetes has it; the first one unless said.
pub(super) const ACCESS_MODES: [&str; 2] = ["ReadWriteOnce", "ReadWriteOncePod"];

/// The options of `wasmgate deploy`.
#[derive(Args, Clone)]
pub(super) struct Options {
    /// The name of the objects, also used as label of the pods [default: the project's folder]
    #[arg(long, value_parser = names::application)]
    pub(super) name: Option<String>,
    /// The image [default: the gateway's own; packages then come from registries or --files]
    #[arg(long, value_parser = names::image)]
    pub(super) image: Option<String>,
    /// An image with only the project's files, mounted as a volume (Kubernetes 1.35); --image is then the gateway's
    #[arg(long, value_name = "IMAGE", value_parser = names::image)]
    pub(super) files: Option<String>,
    /// A Secret of type kubernetes.io/dockerconfigjson, for the image and for packages from registries
    #[arg(long, value_name = "SECRET", value_parser = names::object)]
    pub(super) pull_secret: Option<String>,
    /// A Secret whose keys become environment variables, for ${NAME} in the configuration and for secret stores
    #[arg(long, value_name = "SECRET", value_parser = names::object)]
    pub(super) env_from: Vec<String>,
    /// The variables of `--env`, which pods have too.
    #[arg(skip)]
    pub(super) env: Vec<(String, String)>,
    /// Use a Dapr sidecar instead of the embedded building blocks
    #[arg(long)]
    pub(super) dapr: bool,
    /// The number of pods, if they store nothing [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) replicas: Option<u32>,
    /// Add an autoscaler with at most this many pods, and at least --replicas
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_replicas: Option<u32>,
    /// Also scale by this number of requests in flight per pod; needs an adapter that serves the metric
    #[arg(long, value_name = "N", requires = "max_replicas", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) in_flight: Option<u32>,
    /// The memory limit of a pod
    #[arg(long, value_name = "SIZE", default_value = "1Gi", value_parser = names::size)]
    pub(super) memory: Size,
    /// The size of the cache in each pod; a pod that exceeds it is evicted
    #[arg(long, value_name = "SIZE", default_value = "512Mi", value_parser = names::size)]
    pub(super) cache: Size,
    /// The volume's size, if the project stores data [default: 1Gi]
    #[arg(long, value_name = "SIZE", value_parser = names::size)]
    pub(super) storage: Option<Size>,
    /// The volume's storage class [default: the cluster's]
    #[arg(long, value_name = "NAME", value_parser = names::object)]
    pub(super) storage_class: Option<String>,
    /// The volume's access mode: pods of one node at once, or a single pod, if the storage class supports it
    #[arg(long, value_name = "MODE", value_parser = ACCESS_MODES)]
    pub(super) access_mode: Option<String>,
    /// A host name of the project [default: any]
    #[arg(long, value_parser = names::host)]
    pub(super) host: Vec<String>,
    /// Add an HTTPRoute for this Gateway: NAME or NAMESPACE/NAME
    #[arg(long, value_name = "NAME", value_parser = names::gateway, conflicts_with = "ingress_class")]
    pub(super) gateway: Option<String>,
    /// Add an Ingress of this class
    #[arg(long, value_name = "NAME", value_parser = names::object)]
    pub(super) ingress_class: Option<String>,
    /// The Secret with the TLS certificate of the Ingress
    #[arg(long, value_name = "SECRET", requires = "ingress_class", value_parser = names::object)]
    pub(super) tls_secret: Option<String>,
    /// Add a ServiceMonitor and alert rules, for the Prometheus operator
    #[arg(long)]
    pub(super) service_monitor: bool,
    /// A label by which the operator selects them
    #[arg(long, value_name = "NAME=VALUE", requires = "service_monitor", value_parser = names::monitor_label)]
    pub(super) monitor_label: Vec<(String, String)>,
    /// The namespace from which metrics are read
    #[arg(long, value_name = "NAMESPACE", default_value = "monitoring", value_parser = names::label)]
    pub(super) monitoring: String,
}

impl Options {
    /// Returns who may mount the volume.
    pub(super) fn access_mode(&self) -> &str {
        let [usual, _] = ACCESS_MODES;
        self.access_mode.as_deref().unwrap_or(usual)
    }

    /// Returns whether what is asked for needs a volume.
    pub(super) fn is_of_volume(&self) -> bool {
        self.storage.is_some() || self.storage_class.is_some() || self.access_mode.is_some()
    }

    /// Returns whether a pod has the project's files, in its image or beside it.
    pub(super) fn has_files(&self) -> bool {
        self.image.is_some() || self.files.is_some()
    }
}
