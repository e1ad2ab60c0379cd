//! What injection is told: the `config` key of the injector's ConfigMap, parsed once for all pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Text;
use model::labels::{Condition, LabelSelector, Labels};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::engine::Template;
use crate::{Error, yaml};

/// Whether pods are injected that say nothing themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    Enabled,
    Disabled,
    /// No policy at all: nothing is injected.
    #[default]
    Illegal,
}

/// The injector's configuration (istiod-surface 5.1).
#[derive(Clone, Default)]
pub struct Configuration {
    pub(crate) policy: Policy,
    pub(crate) never: Vec<LabelSelector>,
    pub(crate) always: Vec<LabelSelector>,
    pub(crate) default_templates: Vec<String>,
    pub(crate) aliases: BTreeMap<String, Vec<String>>,
    pub(crate) annotations: BTreeMap<String, String>,
    templates: BTreeMap<String, Arc<Template>>,
    texts: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Written {
    policy: Option<String>,
    default_templates: Option<Vec<String>>,
    templates: Option<BTreeMap<String, String>>,
    aliases: Option<BTreeMap<String, Vec<String>>>,
    never_inject_selector: Option<Vec<Json>>,
    always_inject_selector: Option<Vec<Json>>,
    injected_annotations: Option<BTreeMap<String, String>>,
}

impl Configuration {
    /// Reads the text of the `config` key. One template that cannot be parsed makes all of it unusable, as in
    /// istiod, so that whoever has an older one keeps it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let json = yaml::read(text).map_err(Error::Config)?;
        let written: Written = match json {
            Json::Null => Written::default(),
            json => serde_json::from_value(json).map_err(|error| Error::Config(error.to_string()))?,
        };
        let templates = written.templates.unwrap_or_default();
        if templates.is_empty() {
            tracing::warn!(
                "the injection configuration has no templates; it may be of another version of Istio"
            );
        }
        let mut defaults = written.default_templates.unwrap_or_default();
        if defaults.is_empty() {
            defaults.push("sidecar".into());
        }
        Ok(Self {
            policy: match written.policy.as_deref() {
                Some("enabled") => Policy::Enabled,
                Some("disabled") => Policy::Disabled,
                _ => Policy::Illegal,
            },
            never: selectors(written.never_inject_selector),
            always: selectors(written.always_inject_selector),
            default_templates: defaults,
            aliases: written.aliases.unwrap_or_default(),
            annotations: written.injected_annotations.unwrap_or_default(),
            templates: templates.iter().map(parsed).collect::<Result<_, _>>()?,
            texts: templates,
        })
    }

    /// The templates as they are written, by name.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }

    /// The same as an offline injection sees it: pods are injected unless they say no, by one template.
    pub fn offline(mut self) -> Self {
        self.policy = Policy::Enabled;
        self.never.clear();
        self.always.clear();
        self.default_templates = vec!["sidecar".into()];
        self.aliases.clear();
        self.annotations.clear();
        self
    }

    /// A template by its name.
    pub(crate) fn template(&self, name: &str) -> Result<&Template, Error> {
        self.templates.get(name).map(Arc::as_ref).ok_or_else(|| Error::UnknownTemplate {
            name: name.to_owned(),
            known: self.templates.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    /// The names behind a list of names: an alias stands for several; what it stands for is not expanded again.
    pub(crate) fn resolved<'a>(&'a self, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let expand = |name: &'a str| match self.aliases.get(name) {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => vec![name],
        };
        names.into_iter().flat_map(expand).collect()
    }
}

fn parsed((name, text): (&String, &String)) -> Result<(String, Arc<Template>), Error> {
    let template =
        Template::parse(name, text).map_err(|reason| Error::Unparsable { name: name.clone(), reason })?;
    Ok((name.clone(), Arc::new(template)))
}

/// Label selectors; one that says nothing selects nothing here, and one that cannot be read is left out.
fn selectors(written: Option<Vec<Json>>) -> Vec<LabelSelector> {
    let read = |selector: &Json| {
        let read = label_selector(selector);
        if read.is_none() {
            tracing::warn!(%selector, "a selector of the injection configuration cannot be read; it selects nothing");
        }
        read.filter(|selector| *selector != LabelSelector::default())
    };
    written.unwrap_or_default().iter().filter_map(read).collect()
}

fn label_selector(selector: &Json) -> Option<LabelSelector> {
    let labels = selector.get("matchLabels").and_then(Json::as_object);
    let labels: Labels = labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((Text::from(name.as_str()), Text::from(value.as_str()?))))
        .collect();
    let expressions = selector.get("matchExpressions").and_then(Json::as_array);
    let conditions = expressions.into_iter().flatten().map(condition).collect::<Option<_>>()?;
    Some(LabelSelector { labels, conditions })
}

fn condition(expression: &Json) -> Option<Condition> {
    let key = expression.get("key")?.as_str()?.into();
    let values = expression.get("values").and_then(Json::as_array);
    let values: Vec<Text> =
        values.into_iter().flatten().filter_map(|value| Some(value.as_str()?.into())).collect();
    match (expression.get("operator")?.as_str()?, values.is_empty()) {
        ("In", false) => Some(Condition::In(key, values)),
        ("NotIn", false) => Some(Condition::NotIn(key, values)),
        ("Exists", true) => Some(Condition::Exists(key)),
        ("DoesNotExist", true) => Some(Condition::Missing(key)),
        _ => None,
    }
}
