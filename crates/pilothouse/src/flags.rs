//! Flags of istiod that are taken and change nothing here, so that a chart's arguments are read as they are.

use clap::Args;

/// Each takes its value as istiod's does; what is set is told at the start.
#[derive(Args)]
pub(crate) struct Unused {
    /// Registries of services; Kubernetes is the one there is.
    #[arg(long, hide = true, value_delimiter = ',')]
    registries: Vec<String>,
    /// Where Secrets of remote clusters are.
    #[arg(long = "clusterRegistriesNamespace", hide = true)]
    registries_namespace: Option<String>,
    /// Where istio-cni runs.
    #[arg(long = "cniNamespace", hide = true)]
    cni_namespace: Option<String>,
    /// The file with networks.
    #[arg(long = "networksConfig", hide = true)]
    networks: Option<String>,
    /// Other names of clusters.
    #[arg(long = "clusterAliases", hide = true, value_delimiter = ',')]
    aliases: Vec<String>,
    /// The authority of the serving certificate.
    #[arg(long = "caCertFile", hide = true)]
    ca_file: Option<String>,
    /// The serving certificate.
    #[arg(long = "tlsCertFile", hide = true)]
    certificate_file: Option<String>,
    /// Its key.
    #[arg(long = "tlsKeyFile", hide = true)]
    key_file: Option<String>,
    /// Cipher suites of TLS below 1.3.
    #[arg(long = "tls-cipher-suites", hide = true, value_delimiter = ',')]
    ciphers: Vec<String>,
    /// The lowest version of TLS.
    #[arg(long = "tls-min-version", hide = true)]
    tls_version: Option<String>,
    /// The one namespace to watch (istiod 1.9).
    #[arg(short = 'a', long = "appNamespace", hide = true)]
    only_namespace: Option<String>,
    /// The trust domain (istiod 1.9), which is the mesh's to say.
    #[arg(long = "trust-domain", hide = true)]
    trust_domain: Option<String>,
    /// Go's profiles.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    profile: Option<bool>,
    /// Requests per second to the API server.
    #[arg(long = "kubernetesApiQPS", hide = true)]
    qps: Option<f32>,
    /// How many of them may come at once.
    #[arg(long = "kubernetesApiBurst", hide = true)]
    burst: Option<u32>,
    /// Where log lines go; it is standard error.
    #[arg(long = "log_target", hide = true, value_delimiter = ',')]
    log_target: Vec<String>,
    /// Stack traces in log lines.
    #[arg(long = "log_stacktrace_level", hide = true)]
    log_stacktrace_level: Option<String>,
    /// Source lines in log lines.
    #[arg(long = "log_caller", hide = true)]
    log_caller: Option<String>,
    /// A log file that is rotated (istiod 1.9).
    #[arg(long = "log_rotate", hide = true)]
    log_rotate: Option<String>,
    /// Days that it is kept.
    #[arg(long = "log_rotate_max_age", hide = true)]
    log_rotate_max_age: Option<u32>,
    /// How many are kept.
    #[arg(long = "log_rotate_max_backups", hide = true)]
    log_rotate_max_backups: Option<u32>,
    /// How large it may get, in megabytes.
    #[arg(long = "log_rotate_max_size", hide = true)]
    log_rotate_max_size: Option<u32>,
    /// Plugins (istiod 1.9).
    #[arg(long, hide = true, value_delimiter = ',')]
    plugins: Vec<String>,
    /// How often everything is read anew (istiod 1.9).
    #[arg(long, hide = true)]
    resync: Option<String>,
}

impl Unused {
    /// The flags that are set to something which would make a difference to istiod.
    pub(crate) fn set(&self) -> Vec<&'static str> {
        let list = |values: &[String]| !values.is_empty();
        let is_usual = |values: &[String], usual: &str| values.iter().all(|value| value == usual);
        [
            ("--registries", !is_usual(&self.registries, "Kubernetes")),
            ("--clusterRegistriesNamespace", self.registries_namespace.is_some()),
            ("--cniNamespace", self.cni_namespace.is_some()),
            ("--networksConfig", self.networks.is_some()),
            ("--clusterAliases", list(&self.aliases)),
            ("--caCertFile", self.ca_file.is_some()),
            ("--tlsCertFile", self.certificate_file.is_some()),
            ("--tlsKeyFile", self.key_file.is_some()),
            ("--tls-cipher-suites", list(&self.ciphers)),
            ("--tls-min-version", self.tls_version.is_some()),
            ("--appNamespace", self.only_namespace.is_some()),
            ("--trust-domain", self.trust_domain.is_some()),
            ("--kubernetesApiQPS", self.qps.is_some()),
            ("--kubernetesApiBurst", self.burst.is_some()),
            ("--log_target", !is_usual(&self.log_target, "stderr")),
            ("--log_stacktrace_level", self.log_stacktrace_level.is_some()),
            ("--log_caller", self.log_caller.is_some()),
            ("--log_rotate", self.log_rotate.is_some()),
            ("--log_rotate_max_age", self.log_rotate_max_age.is_some()),
            ("--log_rotate_max_backups", self.log_rotate_max_backups.is_some()),
            ("--log_rotate_max_size", self.log_rotate_max_size.is_some()),
            ("--plugins", list(&self.plugins)),
            ("--resync", self.resync.is_some()),
        ]
        .into_iter()
        .filter_map(|(flag, is_set)| is_set.then_some(flag))
        .collect()
    }
}
