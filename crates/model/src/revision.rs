//! Revisions: which objects, namespaces and pods are whose, where several control planes share a cluster.

use std::collections::BTreeSet;

use crate::Text;
use crate::labels::Labels;

/// The revision, or the tag of one, that an object, a namespace or a pod asks for.
pub const REVISION: &str = "istio.io/rev";
/// The tag that a webhook configuration or a Service stands for.
pub const TAG: &str = "istio.io/tag";
/// Whether the default revision injects into a namespace: `enabled`, or anything else for no.
pub const INJECTION: &str = "istio-injection";
/// Whether a pod is injected: `true` or `false`.
pub const INJECT: &str = "sidecar.istio.io/inject";
/// The name of the revision that has none, and of the tag under which a named one is the default.
pub const DEFAULT: &str = "default";

/// The revision of a control plane (`REVISION`): which objects it reads, and what its own are called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(Option<Text>);

impl Revision {
    /// The revision of a setting; an empty one is a revision that reads everything.
    pub fn new(name: &str) -> Self {
        Self((!name.is_empty()).then(|| name.into()))
    }

    /// Its name; `default` for one without.
    pub fn name(&self) -> &str {
        self.0.as_deref().unwrap_or(DEFAULT)
    }

    /// Whether it is the one whose objects bear no suffix.
    pub fn is_default(&self) -> bool {
        self.name() == DEFAULT
    }

    /// Whether it reads a configuration object (Istio's kinds, the Gateway API's but for Gateway), by the
    /// object's label [`REVISION`]: one that names nobody is everybody's. Tags and namespaces have no say
    /// (istiod-surface 3.3).
    pub fn reads(&self, label: Option<&str>) -> bool {
        match (&self.0, label) {
            (None, _) | (_, None) => true,
            (Some(name), Some(label)) => &**name == label,
        }
    }

    /// What an object of this revision is called: `istio` or `istio-1-9-1` (istiod-surface 3.1).
    pub fn named(&self, base: &str) -> String {
        if self.is_default() { base.to_owned() } else { format!("{base}-{}", self.name()) }
    }
}

/// All names by which a revision is asked for: its own, and the tags that point to it now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Names {
    revision: Revision,
    tags: BTreeSet<Text>,
    is_default: bool,
}

impl Names {
    /// The names of a revision with its tags. `validates` is whether `istiod-default-validator` names it,
    /// which makes it the default where no tag `default` exists (`has_default` says that one does).
    pub fn new(revision: Revision, tags: BTreeSet<Text>, has_default: bool, validates: bool) -> Self {
        let is_default = revision.is_default() || tags.contains(DEFAULT) || (validates && !has_default);
        Self { revision, tags, is_default }
    }

    /// The revision itself.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Whether it is meant where nobody is named.
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// Whether this name is one of its own; an empty one is that of the default.
    pub fn contains(&self, name: &str) -> bool {
        match name {
            "" => self.is_default,
            name => name == self.revision.name() || self.tags.contains(name),
        }
    }

    /// Whether an object is its own where exactly one revision must act (a Gateway to deploy, an Ingress to
    /// report on): by the object's label, else its namespace's (istiod-surface 3.4).
    pub fn owns(&self, object: &Labels, namespace: &Labels) -> bool {
        let name = object.get(REVISION).or_else(|| namespace.get(REVISION));
        self.contains(name.unwrap_or_default())
    }

    /// Whether a pod is its own to inject; see [`injector`].
    pub fn injects(&self, namespace: &Labels, pod: &Labels) -> bool {
        injector(namespace, pod)
            .is_some_and(|name| if name == DEFAULT { self.is_default } else { self.contains(name) })
    }
}

/// The revision or tag that is to inject a pod, by the labels of its namespace and its own; `None` for
/// nobody. The answer is that of all webhooks' selectors together (istiod-surface 3.2): `istio-injection`
/// on the namespace counts before its revision, the namespace before the pod, and a pod may always decline.
pub fn injector<'a>(namespace: &'a Labels, pod: &'a Labels) -> Option<&'a str> {
    let wish = pod.get(INJECT);
    if wish == Some("false") {
        return None;
    }
    match (namespace.get(INJECTION), namespace.get(REVISION), pod.get(REVISION)) {
        (Some("enabled"), _, _) => Some(DEFAULT),
        (Some(_), _, _) => None,
        (None, Some(name), _) | (None, None, Some(name)) => Some(name),
        (None, None, None) => (wish == Some("true")).then_some(DEFAULT),
    }
}

/// The tag and the revision it points to, of a webhook configuration's or Service's labels.
pub fn tag(labels: &Labels) -> Option<(&Text, &Text)> {
    labels.text(TAG).zip(labels.text(REVISION))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels written `a=b c=d`.
    fn labels(text: &str) -> Labels {
        text.split_whitespace().filter_map(|pair| pair.split_once('=')).collect()
    }

    fn names(revision: &str, tags: &[&str]) -> Names {
        let tags: BTreeSet<Text> = tags.iter().map(|tag| Text::from(*tag)).collect();
        Names::new(Revision::new(revision), tags, false, false)
    }

    #[test]
    fn objects_are_read_by_their_own_label_only() {
        for (revision, label, reads) in [
            ("", None, true),
            ("", Some("canary"), true),
            ("default", None, true),
            ("default", Some("default"), true),
            ("default", Some("canary"), false),
            ("1-9-1", None, true),
            ("1-9-1", Some("1-9-1"), true),
            ("1-9-1", Some("1-9-2"), false),
            ("1-9-1", Some(""), false),
            ("1-9-1", Some("prod"), false),
        ] {
            assert_eq!(Revision::new(revision).reads(label), reads, "{revision:?} {label:?}");
        }
    }

    #[test]
    fn names_are_made_of_the_revision() {
        for (revision, name) in [("", "istio"), ("default", "istio"), ("1-9-1", "istio-1-9-1")] {
            assert_eq!(Revision::new(revision).named("istio"), name);
        }
    }

    #[test]
    fn a_pod_is_injected_by_whom_the_selectors_select() {
        for (namespace, pod, who) in [
            ("", "", None),
            ("istio-injection=enabled", "", Some("default")),
            ("istio-injection=disabled", "", None),
            ("istio-injection=", "", None),
            ("istio.io/rev=1-9-1", "", Some("1-9-1")),
            ("istio.io/rev=prod", "", Some("prod")),
            ("istio-injection=enabled istio.io/rev=1-9-1", "", Some("default")),
            ("istio-injection=disabled istio.io/rev=1-9-1", "sidecar.istio.io/inject=true", None),
            ("istio.io/rev=1-9-1", "istio.io/rev=1-9-2", Some("1-9-1")),
            ("istio.io/rev=1-9-1", "sidecar.istio.io/inject=false", None),
            ("istio-injection=enabled", "sidecar.istio.io/inject=false", None),
            ("istio-injection=enabled", "istio.io/rev=1-9-1", Some("default")),
            ("", "sidecar.istio.io/inject=true", Some("default")),
            ("", "sidecar.istio.io/inject=false istio.io/rev=1-9-1", None),
            ("", "istio.io/rev=1-9-1", Some("1-9-1")),
            ("", "istio.io/rev=1-9-1 sidecar.istio.io/inject=true", Some("1-9-1")),
        ] {
            assert_eq!(injector(&labels(namespace), &labels(pod)), who, "{namespace:?} {pod:?}");
        }
    }

    #[test]
    fn a_named_revision_injects_for_the_default_only_by_the_tag() {
        let (namespace, pod) = (labels("istio-injection=enabled"), labels(""));
        assert!(!names("1-9-1", &[]).injects(&namespace, &pod));
        assert!(names("1-9-1", &["default"]).injects(&namespace, &pod));
        assert!(names("default", &[]).injects(&namespace, &pod));
        assert!(names("1-9-1", &["prod"]).injects(&labels("istio.io/rev=prod"), &pod));
    }

    #[test]
    fn who_owns_an_object() {
        for (revision, tags, object, namespace, owns) in [
            ("1-9-1", &[][..], "istio.io/rev=1-9-1", "", true),
            ("1-9-1", &[], "", "istio.io/rev=1-9-1", true),
            ("1-9-1", &[], "istio.io/rev=1-9-2", "istio.io/rev=1-9-1", false),
            ("1-9-1", &["prod"], "istio.io/rev=prod", "", true),
            ("1-9-1", &[], "", "", false),
            ("1-9-1", &["default"], "", "", true),
            ("default", &[], "", "", true),
            ("", &[], "", "", true),
        ] {
            let owned = names(revision, tags).owns(&labels(object), &labels(namespace));
            assert_eq!(owned, owns, "{revision:?} {tags:?} {object:?} {namespace:?}");
        }
    }

    #[test]
    fn the_default_validator_names_the_default_where_no_tag_does() {
        let names = |has_default| Names::new(Revision::new("1-9-1"), BTreeSet::new(), has_default, true);
        assert!(names(false).contains(""));
        assert!(!names(true).contains(""));
    }

    #[test]
    fn tags_are_labels() {
        let both = labels("istio.io/tag=prod istio.io/rev=1-9-1");
        assert_eq!(tag(&both).map(|(tag, revision)| (&**tag, &**revision)), Some(("prod", "1-9-1")));
        assert_eq!(tag(&labels("istio.io/rev=1-9-1")), None);
    }
}
