//! Names of clusters' statistics by the mesh's patterns.

use model::{Registry, Service, ServicePort, Text};

/// The name by a pattern such as `%SERVICE_FQDN%_%SERVICE_PORT%`; `None` for an empty pattern.
///
/// `target` is the workload's port, 0 for outbound clusters.
pub(super) fn expand(
    pattern: &str,
    service: &Service,
    port: &ServicePort,
    subset: &str,
    target: u16,
) -> Option<Text> {
    let host = service.host.as_str();
    match service.registry {
        _ if pattern.is_empty() => None,
        Registry::Kubernetes => {
            let short = format!("{}.{}", service.name, service.namespace);
            Some(replace(pattern, [&short, &service.name, host], port, (subset, target)))
        }
        Registry::External => Some(replace(pattern, [host; 3], port, (subset, target))),
    }
}

/// The name of an outbound cluster (or TCP proxy to it) by a pattern; `None` for an empty one.
pub(crate) fn expand_outbound(
    pattern: &str,
    service: &Service,
    port: &ServicePort,
    subset: &str,
) -> Option<Text> {
    expand(pattern, service, port, subset, 0)
}

/// The name by a pattern for a host that is no service's.
pub(super) fn of_host(pattern: &str, host: &str, port: &ServicePort, target: u16) -> Option<Text> {
    (!pattern.is_empty()).then(|| replace(pattern, [host; 3], port, ("", target)))
}

fn replace(
    pattern: &str,
    [short, name, host]: [&str; 3],
    port: &ServicePort,
    (subset, target): (&str, u16),
) -> Text {
    let (number, target) = (port.number.to_string(), target.to_string());
    let values = [
        ("%SERVICE%", short),
        ("%SERVICE_NAME%", name),
        ("%SERVICE_FQDN%", host),
        ("%SUBSET_NAME%", subset),
        ("%TARGET_PORT%", &target),
        ("%SERVICE_PORT%", &number),
        ("%SERVICE_PORT_NAME%", &port.name),
    ];
    let expanded = values.iter().fold(pattern.to_owned(), |text, (word, value)| text.replace(word, value));
    expanded.into()
}
