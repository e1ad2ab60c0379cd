//! Where in a resource a difference lies, and that place with everything particular erased.

use std::fmt;

/// One step into a JSON tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field of a message, or a key of a map.
    Field(String),
    /// An element of a list, by its name where it has one, else by its index.
    Element(String),
}

/// Where in a resource something lies. Prints as `filterChains[0.0.0.0_80].filters[0].typedConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// This path and one step more.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The last field name, which tells whether a list has an order.
    pub fn last_field(&self) -> &str {
        match self.0.last() {
            Some(Step::Field(name)) => name,
            _ => "",
        }
    }

    /// The path without indexes and without names that a user chose.
    ///
    /// Names of extensions stay, for they are vocabulary: `httpFilters[istio.alpn]` says what is wrong.
    pub fn erased(&self) -> String {
        let steps = self.0.iter().map(|step| match step {
            Step::Field(name) if is_field_name(name) => Step::Field(name.clone()),
            Step::Field(_) => Step::Field("*".to_owned()),
            Step::Element(name) if is_vocabulary(name) => Step::Element(name.clone()),
            Step::Element(_) => Step::Element(String::new()),
        });
        Self(steps.collect()).to_string()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => write!(f, "{name}")?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Element(name) => write!(f, "[{name}]")?,
            }
        }
        Ok(())
    }
}

fn is_field_name(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@'));
    plain || is_vocabulary(name)
}

fn is_vocabulary(name: &str) -> bool {
    const PREFIXES: [&str; 6] = ["envoy.", "istio.", "istio_", "istio-", "type.googleapis.com/", "tlsMode"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A resource's name without what is particular: `outbound|80|v1|reviews.default` → `outbound|N|subset|host`.
pub fn erased_name(name: &str) -> String {
    let parts: Vec<&str> = name.split('|').collect();
    if let [direction, port, subset, host] = parts[..] {
        let or_empty = |text: &str, word| if text.is_empty() { "" } else { word };
        return format!(
            "{direction}|{}|{}|{}",
            digits(port),
            or_empty(subset, "subset"),
            or_empty(host, "host")
        );
    }
    match name.rsplit_once([':', '_']) {
        Some((host, port)) if is_number(port) && host.contains(char::is_alphabetic) => "host:N".to_owned(),
        Some((host, port)) if is_number(port) && host != "0.0.0.0" => {
            format!("IP{}N", &name[host.len()..=host.len()])
        }
        _ => digits(name),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// Each run of digits as one `N`, but for the wildcard address.
fn digits(text: &str) -> String {
    let mut out = String::new();
    for c in text.replace("0.0.0.0", "any").chars() {
        match (c.is_ascii_digit(), out.ends_with('N')) {
            (true, true) => {}
            (true, false) => out.push('N'),
            (false, _) => out.push(c),
        }
    }
    out.replace("any", "0.0.0.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indexes_are_erased_but_vocabulary_stays() {
        let path = Path::default()
            .then(Step::Field("virtualHosts".to_owned()))
            .then(Step::Element("reviews.default:80".to_owned()))
            .then(Step::Field("typedPerFilterConfig".to_owned()))
            .then(Step::Field("envoy.filters.http.cors".to_owned()))
            .then(Step::Field("reviews.default".to_owned()))
            .then(Step::Element("3".to_owned()));
        assert_eq!(
            path.to_string(),
            "virtualHosts[reviews.default:80].typedPerFilterConfig.envoy.filters.http.cors.reviews.default[3]"
        );
        assert_eq!(path.erased(), "virtualHosts[].typedPerFilterConfig.envoy.filters.http.cors.*[]");
        let filter = Path::default().then(Step::Field("httpFilters".to_owned()));
        assert_eq!(filter.then(Step::Element("istio.alpn".to_owned())).erased(), "httpFilters[istio.alpn]");
    }

    #[test]
    fn resource_names_keep_their_shape_only() {
        assert_eq!(erased_name("outbound|80|v1|reviews.default.svc.cluster.local"), "outbound|N|subset|host");
        assert_eq!(erased_name("inbound|9080||"), "inbound|N||");
        assert_eq!(erased_name("10.96.0.1_443"), "IP_N");
        assert_eq!(erased_name("0.0.0.0_8080"), "0.0.0.0_N");
        assert_eq!(erased_name("reviews.default.svc.cluster.local:9080"), "host:N");
        assert_eq!(erased_name("http.8080"), "http.N");
        assert_eq!(erased_name("BlackHoleCluster"), "BlackHoleCluster");
    }
}
