//! The names by which requests call a service: its host in all its forms, other names, addresses.

use std::net::IpAddr;

use memo::Shared;
use mesh::RouteProfile;
use model::service::{Registry, Resolution, UNSPECIFIED};
use model::settings::Settings;
use model::{Host, Service, Text};

use crate::addresses::AddressView;

/// Everything that the domains of one service may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DomainInputs {
    service: Shared<Service>,
    /// Its host and its other names, each with the forms that it is known by to the proxy.
    names: Vec<(Host, Forms)>,
    /// The port that every domain also appears with; 0 for none.
    port: u16,
    /// Whether the form with a dot at its end is among them.
    absolute: bool,
    addresses: AddressView,
}

/// Short forms of a host as the proxy's resolver would complete them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Forms {
    /// None.
    Whole,
    /// A Kubernetes service of the proxy's namespace: `name`, `name.ns.svc`, `name.ns`.
    Own,
    /// One of another namespace: `name.ns`, `name.ns.svc`.
    Other,
    /// What is left without the proxy's own domain, which is not one of Kubernetes.
    Under(Text),
}

/// One name of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Domain {
    /// As it is matched.
    pub(super) text: Text,
    /// Whether it is made up of a host, so that it gives way to a real host of that name.
    pub(super) made_up: bool,
}

impl DomainInputs {
    /// The inputs for a service and its other names as seen by a proxy.
    pub(super) fn new(
        service: &Shared<Service>,
        aliases: &[Host],
        port: u16,
        (profile, settings): (&RouteProfile, &Settings),
    ) -> Self {
        let names = std::iter::once(&service.host).chain(aliases);
        Self {
            service: service.clone(),
            names: names.map(|host| (host.clone(), Forms::of(host, &profile.dns_domain))).collect(),
            port,
            absolute: settings.absolute_fqdn_domain,
            addresses: AddressView::new(&profile.cluster, profile.ip_mode, profile.auto_addresses, settings),
        }
    }

    /// The domains in the order in which they are claimed.
    pub(super) fn plan(&self) -> Vec<Domain> {
        let mut domains = Vec::new();
        for (host, forms) in &self.names {
            self.push(host.as_str(), false, &mut domains);
            if self.absolute {
                self.push_absolute(host.as_str(), &mut domains);
            }
            for form in forms.list(host.as_str()) {
                self.push(&form, true, &mut domains);
            }
        }
        if self.service.resolution == Resolution::Passthrough && self.service.registry == Registry::Kubernetes
        {
            let pods = |one: &Domain| Domain { text: format!("*.{}", one.text).into(), made_up: one.made_up };
            let pods: Vec<_> = domains.iter().map(pods).collect();
            domains.extend(pods);
        }
        for address in self.addresses() {
            self.push(address, false, &mut domains);
        }
        domains
    }

    /// Addresses that stand for the service; at a port of its own only the first allocated one does.
    fn addresses(&self) -> Vec<&str> {
        let allocated = self.service.cluster_vips.is_empty();
        let found = match self.port {
            0 if allocated => vec![self.addresses.first(&self.service)],
            _ => self.addresses.all(&self.service).into_iter().map(|address| &**address).collect(),
        };
        found.into_iter().filter(|address| !address.is_empty() && *address != UNSPECIFIED).collect()
    }

    fn push(&self, name: &str, made_up: bool, domains: &mut Vec<Domain>) {
        domains.push(Domain { text: bracketed(name).into(), made_up });
        if self.port != 0 {
            domains.push(Domain { text: with_port(name, self.port).into(), made_up });
        }
    }

    fn push_absolute(&self, host: &str, domains: &mut Vec<Domain>) {
        let absolute = format!("{host}.");
        if host.parse::<IpAddr>().is_err() {
            domains.push(Domain { text: absolute.as_str().into(), made_up: true });
        }
        if self.port != 0 {
            domains.push(Domain { text: with_port(&absolute, self.port).into(), made_up: true });
        }
    }
}

impl Forms {
    /// The forms of a host for a proxy with this domain (`default.svc.cluster.local`).
    fn of(host: &Host, domain: &Text) -> Self {
        let Some((namespace, _)) = domain.split_once(".svc.") else {
            let shared = shared_suffix(host.as_str(), domain);
            return if shared.is_empty() { Self::Whole } else { Self::Under(shared.into()) };
        };
        let suffix = domain.get(namespace.len()..).unwrap_or_default();
        if namespace.is_empty() || !host.as_str().ends_with(suffix) {
            return Self::Whole;
        }
        match kube_service(host.as_str()) {
            Some((_, own)) if own == namespace => Self::Own,
            Some(_) => Self::Other,
            None => Self::Whole,
        }
    }

    fn list(&self, host: &str) -> Vec<String> {
        match self {
            Self::Whole => Vec::new(),
            Self::Under(shared) => under(host, shared),
            Self::Own | Self::Other => {
                let Some((name, namespace)) = kube_service(host) else { return Vec::new() };
                let (short, long) = (format!("{name}.{namespace}"), format!("{name}.{namespace}.svc"));
                if *self == Self::Own { vec![name.into(), long, short] } else { vec![short, long] }
            }
        }
    }
}

/// The further names of a host for a proxy with this domain: with a dot at its end if `absolute`, and the
/// short forms.
pub(crate) fn alternates(host: &Host, domain: &Text, absolute: bool) -> Vec<Text> {
    let absolute = absolute.then(|| Text::from(format!("{host}.")));
    let forms = Forms::of(host, domain).list(host.as_str());
    absolute.into_iter().chain(forms.into_iter().map(Text::from)).collect()
}

/// Name and namespace of `name.namespace.svc.…`.
fn kube_service(host: &str) -> Option<(&str, &str)> {
    let (head, _) = host.split_once(".svc.")?;
    head.split_once('.').filter(|(_, namespace)| !namespace.is_empty())
}

/// The labels that both names end in.
fn shared_suffix<'a>(host: &'a str, domain: &str) -> &'a str {
    let both = host.rsplit('.').zip(domain.rsplit('.'));
    let len: usize = both.take_while(|(one, two)| one == two).map(|(one, _)| one.len() + 1).sum();
    host.get(host.len().saturating_sub(len.saturating_sub(1))..).filter(|_| len > 0).unwrap_or_default()
}

/// `name`, or for `name.zone` also that with the first label of what is shared.
fn under(host: &str, shared: &str) -> Vec<String> {
    let unique = host.strip_suffix(shared).unwrap_or(host).trim_end_matches('.');
    if unique.is_empty() {
        return Vec::new();
    }
    let mut forms = vec![unique.to_owned()];
    if unique.split('.').count() == 2 {
        forms.push(format!("{unique}.{}", shared.split('.').next().unwrap_or_default()));
    }
    forms
}

/// An IPv6 address in brackets, anything else as it is.
pub(super) fn bracketed(name: &str) -> String {
    if name.contains(':') { format!("[{name}]") } else { name.to_owned() }
}

/// `name:port`, with brackets where the name is an IPv6 address.
pub(super) fn with_port(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}
