//! Who may see an object: what it declares, or else the mesh's default for its kind.

use model::Text;
use model::networking::ExportTo;

/// The namespaces that may see an object of `namespace`: never `Unset`, `.` replaced by the namespace.
///
/// From `exportTo` and `default*ExportTo` of the mesh configuration (xds-semantics, visibility).
pub(crate) fn resolve(declared: &ExportTo, default: &ExportTo, namespace: &Text) -> ExportTo {
    let chosen = if *declared == ExportTo::Unset { default } else { declared };
    let ExportTo::Namespaces(list) = chosen else { return ExportTo::Public };
    let own = |name: &Text| if &**name == "." { namespace.clone() } else { name.clone() };
    let mut list: Vec<Text> = list.iter().filter(|name| !name.is_empty()).map(own).collect();
    list.sort();
    list.dedup();
    ExportTo::Namespaces(list)
}

/// Reads the comma list of a Service's annotation `networking.istio.io/exportTo`.
pub(crate) fn parse(list: &str) -> ExportTo {
    let words: Vec<&str> = list.split(',').map(str::trim).collect();
    if words.contains(&"*") {
        return ExportTo::Public;
    }
    if words.contains(&"~") {
        return ExportTo::Namespaces(Vec::new());
    }
    ExportTo::Namespaces(words.into_iter().map(Text::from).collect())
}

/// Narrows to the object's own namespace, or to nobody if that was not among those who may see it.
pub(crate) fn private(declared: &ExportTo, namespace: &Text) -> ExportTo {
    let own = declared.contains(namespace);
    ExportTo::Namespaces(if own { vec![namespace.clone()] } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> ExportTo {
        ExportTo::Namespaces(names.iter().map(|name| Text::from(*name)).collect())
    }

    fn check(annotation: &str, expected: &ExportTo) {
        let resolved = resolve(&parse(annotation), &ExportTo::Public, &"own".into());
        assert_eq!(resolved, *expected, "{annotation}");
    }

    #[test]
    fn a_star_wins_then_a_tilde_then_names() {
        check("a, *,~", &ExportTo::Public);
        check("a,~", &list(&[]));
        check(" b , ,. ,own", &list(&["b", "own"]));
        assert_eq!(resolve(&ExportTo::Unset, &list(&["."]), &"own".into()), list(&["own"]));
        assert_eq!(resolve(&ExportTo::Unset, &ExportTo::Unset, &"own".into()), ExportTo::Public);
    }

    #[test]
    fn private_keeps_the_own_namespace_or_nobody() {
        assert_eq!(private(&ExportTo::Public, &"own".into()), list(&["own"]));
        assert_eq!(private(&list(&["other"]), &"own".into()), list(&[]));
    }
}
