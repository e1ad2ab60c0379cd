//! ProxyConfig, the object.

use istio_api::networking as api;

use super::Outcome;
use super::reader::{Reader, labels, pairs, text};
use crate::key::Meta;
use crate::proxy_config::ProxyConfigObject;

/// A ProxyConfig; an empty selector is none.
pub(super) fn parse_proxy_config(meta: Meta, spec: &api::ProxyConfig) -> Outcome<ProxyConfigObject> {
    let mut reader = Reader::new(&meta, "");
    if spec.concurrency.is_some_and(|number| number < 0) {
        reader.refuse("concurrency", "number-negative", "the number of threads is negative");
    }
    let selector = spec.selector.as_ref().map(|selector| labels(&selector.match_labels));
    reader.finish(ProxyConfigObject {
        meta,
        selector: selector.filter(|labels| !labels.is_empty()),
        concurrency: spec.concurrency,
        environment: pairs(&spec.environment_variables),
        image_type: text(spec.image.as_ref().map_or("", |image| &image.image_type)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{clean, meta, problems, spec};
    use super::*;
    use crate::Kind;

    #[test]
    fn what_an_object_may_set() {
        let parse = |json| parse_proxy_config(meta(Kind::ProxyConfig), &spec(json));
        let config = clean(parse(json!({
            "selector": {"matchLabels": {}}, "concurrency": 0, "environmentVariables": {"B": "2", "A": "1"},
            "image": {"imageType": "debug"},
        })));
        assert_eq!((config.selector, config.concurrency, &*config.image_type), (None, Some(0), "debug"));
        assert_eq!(config.environment, [("A".into(), "1".into()), ("B".into(), "2".into())]);
        let refused = parse(json!({"concurrency": -1}));
        assert_eq!(
            problems(&refused),
            ["spec.concurrency: the number of threads is negative [number-negative]"]
        );
    }
}
