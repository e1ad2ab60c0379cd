//! The `values` key of the injector's ConfigMap: what the installation was told.

use gtmpl_ng::Value;
use istio_api::networking::ProxyImage;
use serde_json::Value as Json;

use crate::engine::from_json;
use crate::{Error, yaml};

/// The values of an installation.
#[derive(Clone)]
pub struct Values {
    json: Json,
    /// As templates see them.
    pub(crate) for_templates: Value,
}

/// Kinds of images that are published; a tag may end with one.
const IMAGE_TYPES: [&str; 2] = ["distroless", "debug"];
const IMAGE_TYPE: &str = "sidecar.istio.io/proxyImageType";

impl Values {
    /// Reads the text of the `values` key, JSON or YAML.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let json = yaml::read(text).map_err(Error::Values)?;
        if !json.is_object() {
            return Err(Error::Values("an object is expected".into()));
        }
        Ok(Self { for_templates: from_json(&json), json })
    }

    fn at(&self, path: &[&str]) -> Option<&Json> {
        path.iter().try_fold(&self.json, |at, name| at.get(name))
    }

    fn text(&self, path: &[&str]) -> &str {
        self.at(path).and_then(Json::as_str).unwrap_or_default()
    }

    fn is_on(&self, path: &[&str]) -> bool {
        self.at(path).and_then(Json::as_bool).unwrap_or_default()
    }

    /// The cluster that pods are told they are in; may be empty.
    pub(crate) fn cluster(&self) -> &str {
        self.text(&["global", "multiCluster", "clusterName"])
    }

    /// The network that pods are told they are in; may be empty.
    pub(crate) fn network(&self) -> &str {
        self.text(&["global", "network"])
    }

    /// Whether applications wait for their proxies.
    pub(crate) fn holds_application(&self) -> bool {
        self.is_on(&["global", "proxy", "holdApplicationUntilProxyStarts"])
    }

    /// Whether probes go through the agent.
    pub(crate) fn rewrites_probes(&self) -> bool {
        self.is_on(&["sidecarInjectorWebhook", "rewriteAppHTTPProbe"])
    }

    /// The proxy's image; `wanted` is the pod's annotation.
    pub(crate) fn proxy_image(&self, image: Option<&ProxyImage>, wanted: Option<&str>) -> String {
        let kind = image.map_or("", |image| &image.image_type);
        self.image(self.text(&["global", "proxy", "image"]), kind, wanted)
    }

    /// The image of what sets up the capture of traffic.
    pub(crate) fn init_image(&self, wanted: Option<&str>) -> String {
        self.image(self.text(&["global", "proxy_init", "image"]), "", wanted)
    }

    fn image(&self, name: &str, kind: &str, wanted: Option<&str>) -> String {
        let tag = match self.at(&["global", "tag"]) {
            Some(Json::String(tag)) => tag.clone(),
            None | Some(Json::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        let kind = if kind.is_empty() { self.text(&["global", "variant"]) } else { kind };
        let name = if name.is_empty() { "proxyv2" } else { name };
        let hub = self.text(&["global", "hub"]);
        format!("{hub}/{name}:{}", tag_of_type(&tag, wanted.unwrap_or(kind)))
    }
}

/// A tag with the type of image; one that it ends with already gives way.
fn tag_of_type(tag: &str, kind: &str) -> String {
    if kind.is_empty() {
        return tag.to_owned();
    }
    let known = IMAGE_TYPES.iter().find_map(|known| tag.strip_suffix(known)?.strip_suffix('-'));
    let plain = known.unwrap_or(tag);
    if kind == "default" { plain.to_owned() } else { format!("{plain}-{kind}") }
}

/// The type of image that a pod asks for.
pub(crate) fn wanted_image(annotations: &std::collections::BTreeMap<String, String>) -> Option<&str> {
    annotations.get(IMAGE_TYPE).map(String::as_str)
}
