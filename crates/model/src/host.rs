//! A possibly wildcarded DNS name and the laws of matching it (xds-semantics, host matching).

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::Text;

/// A DNS name, in lower case, that is a wildcard if it begins with `*`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Text);

impl Host {
    /// A host; upper case is lowered, since DNS names do not differ by case.
    pub fn new(name: &str) -> Self {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Self(name.to_ascii_lowercase().into());
        }
        Self(name.into())
    }

    /// The name of `short` as seen from `namespace`: unchanged if it is `*`, an address or has a dot,
    /// else `<short>.<namespace>.svc.<domain>` (`<short>.<namespace>` where there is no domain).
    pub fn resolve(short: &str, namespace: &str, domain: &str) -> Self {
        if short == "*" || short.contains('.') || short.contains(':') || short.is_empty() {
            return Self::new(short);
        }
        if domain.is_empty() {
            return Self::new(&format!("{short}.{namespace}"));
        }
        Self::new(&format!("{short}.{namespace}.svc.{domain}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as shared text.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// Whether it begins with `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether some name is matched by both; symmetric.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self.wildcard_suffix(), other.wildcard_suffix()) {
            (Some(one), Some(two)) => one.ends_with(two) || two.ends_with(one),
            (Some(suffix), None) => other.0.ends_with(suffix),
            (None, Some(suffix)) => self.0.ends_with(suffix),
            (None, None) => Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0,
        }
    }

    /// Whether every name that this host matches is matched by `other` too.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        match (self.wildcard_suffix(), other.wildcard_suffix()) {
            (Some(one), Some(two)) => one.ends_with(two),
            (None, Some(suffix)) => self.0.ends_with(suffix),
            (Some(_), None) => false,
            (None, None) => self.0 == other.0,
        }
    }

    /// More specific first: exact before wildcard, longer first, then by alphabet.
    pub fn specificity(&self, other: &Self) -> Ordering {
        self.is_wildcard()
            .cmp(&other.is_wildcard())
            .then(other.0.len().cmp(&self.0.len()))
            .then_with(|| self.0.cmp(&other.0))
    }

    /// What stands behind the `*`, for a wildcard.
    pub fn wildcard_suffix(&self) -> Option<&str> {
        self.0.strip_prefix('*')
    }
}

impl std::borrow::Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &str, two: &str, overlaps: bool, subset: bool) {
        let (one, two) = (Host::new(one), Host::new(two));
        assert_eq!(one.overlaps(&two), overlaps, "{one} overlaps {two}");
        assert_eq!(two.overlaps(&one), overlaps, "{two} overlaps {one}");
        assert_eq!(one.is_subset_of(&two), subset, "{one} is a subset of {two}");
    }

    #[test]
    fn matching_is_by_suffix() {
        check("a.foo.com", "*.foo.com", true, true);
        check("foo.com", "*.foo.com", false, false);
        check("*.foo.com", "*.com", true, true);
        check("*.com", "*.foo.com", true, false);
        check("*", "a.com", true, false);
        check("a.com", "a.com", true, true);
        check("*foo.com", "barfoo.com", true, false);
    }

    #[test]
    fn short_names_get_namespace_and_domain() {
        let resolve = |short| Host::resolve(short, "default", "cluster.local").to_string();
        assert_eq!(resolve("Reviews"), "reviews.default.svc.cluster.local");
        assert_eq!(resolve("reviews.other"), "reviews.other");
        assert_eq!(resolve("*"), "*");
    }
}
