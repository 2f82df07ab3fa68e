//! What is asked of a rendering beside the project.

use clap::Args;

use super::names::{self, Size};

/// The options of `wasmgate deploy --kubernetes`.
#[derive(Args)]
pub(super) struct Options {
    /// The name of the objects and of the label that they find the pods by; unless said, that of the project's folder
    #[arg(long, value_parser = names::application)]
    pub(super) name: Option<String>,
    /// The image; unless said, the gateway's own, and then packages come from registries alone
    #[arg(long, value_parser = names::image)]
    pub(super) image: Option<String>,
    /// A Secret of type kubernetes.io/dockerconfigjson, for the image and for packages from registries
    #[arg(long, value_name = "SECRET", value_parser = names::object)]
    pub(super) pull_secret: Option<String>,
    /// A Secret whose keys become variables of the gateway, for ${NAME} in the configuration and for secret stores
    #[arg(long, value_name = "SECRET", value_parser = names::object)]
    pub(super) env_from: Vec<String>,
    /// Put a Dapr sidecar beside the gateway, and embed nothing
    #[arg(long)]
    pub(super) dapr: bool,
    /// The number of pods, where they keep nothing; unless said, 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) replicas: Option<u32>,
    /// Have an autoscaler make up to so many pods, and --replicas at least
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_replicas: Option<u32>,
    /// The memory that a pod may take
    #[arg(long, value_name = "SIZE", default_value = "1Gi", value_parser = names::size)]
    pub(super) memory: Size,
    /// The volume's size, where the project keeps data; unless said, 1Gi
    #[arg(long, value_name = "SIZE", value_parser = names::size)]
    pub(super) storage: Option<Size>,
    /// A host name that leads to the project; unless said, any
    #[arg(long, value_parser = names::host)]
    pub(super) host: Vec<String>,
    /// Add an HTTPRoute of this Gateway, as NAME or NAMESPACE/NAME
    #[arg(long, value_name = "NAME", value_parser = names::gateway, conflicts_with = "ingress_class")]
    pub(super) gateway: Option<String>,
    /// Add an Ingress of this class
    #[arg(long, value_name = "NAME", value_parser = names::object)]
    pub(super) ingress_class: Option<String>,
    /// The namespace from which metrics are read
    #[arg(long, value_name = "NAMESPACE", default_value = "monitoring", value_parser = names::label)]
    pub(super) monitoring: String,
}
