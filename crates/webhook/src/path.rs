//! The path at which injection is asked for says more about the proxies (istiod-surface 5.2).

use std::collections::BTreeMap;

/// Variables in a path: `/inject/cluster/c1/net/n1/ANY/value`; `--slash--` in a value is a slash.
///
/// An older form is `/inject/:ENV:cluster=c1:ENV:net=n1`. A key without a value is left out.
pub(crate) fn environment(path: &str) -> BTreeMap<String, String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let Some(rest) = path.splitn(3, '/').nth(2) else { return BTreeMap::new() };
    if let Some(pairs) = rest.strip_prefix(":ENV:") {
        let pairs = pairs.split(":ENV:").filter_map(|pair| pair.split_once('='));
        return pairs
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (variable(name), value.to_owned()))
            .collect();
    }
    let words: Vec<_> = rest.split('/').collect();
    let pairs = words.chunks_exact(2).filter_map(|pair| Some((pair.first()?, pair.get(1)?)));
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (variable(name), value.replace("--slash--", "/")))
        .collect()
}

fn variable(name: &str) -> String {
    match name {
        "cluster" => "ISTIO_META_CLUSTER_ID".into(),
        "net" => "ISTIO_META_NETWORK".into(),
        other => other.to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::environment;

    #[test]
    fn both_forms() {
        let shown = |path: &str| {
            let pairs = environment(path).into_iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("/inject"), "");
        assert_eq!(shown("/inject/"), "");
        assert_eq!(
            shown("/inject/cluster/a--slash--b/net/n/x"),
            "ISTIO_META_CLUSTER_ID=a/b ISTIO_META_NETWORK=n"
        );
        assert_eq!(shown("/inject/my_var/v/"), "MY_VAR=v");
        assert_eq!(shown("/inject/:ENV:net=n:ENV:=x:ENV:y:ENV:z="), "ISTIO_META_NETWORK=n Z=");
    }
}
