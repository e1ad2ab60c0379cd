//! In which order containers start.

use serde_json::Value as Json;

use crate::PROXY;
use crate::parts::{self, CONTAINERS, INIT_CONTAINERS};

const VALIDATION: &str = "istio-validation";
const INIT: &str = "istio-init";
const CORE_DUMP: &str = "enable-core-dump";

#[derive(Clone, Copy)]
enum To {
    First,
    Last,
}

/// The proxy comes last, so that `kubectl exec` goes on meaning the application; first if the application waits
/// for it. Among init containers: a proxy that stays comes before all that need it, right behind what captures
/// traffic; else capture is set up last, when nothing goes out any more before the proxy runs.
pub(super) fn apply(pod: &mut Json, holds_application: bool) {
    bring(pod, CONTAINERS, PROXY, if holds_application { To::First } else { To::Last });
    let steps: &[(&str, To)] = if parts::named(parts::list(pod, INIT_CONTAINERS), PROXY).is_some() {
        &[(CORE_DUMP, To::First), (PROXY, To::First), (VALIDATION, To::First), (INIT, To::First)]
    } else {
        &[(VALIDATION, To::First), (INIT, To::Last), (CORE_DUMP, To::Last)]
    };
    for (name, to) in steps {
        bring(pod, INIT_CONTAINERS, name, *to);
    }
}

fn bring(pod: &mut Json, field: &str, name: &str, to: To) {
    let Some(list) = parts::list_mut(pod, field) else { return };
    let Some(at) = list.iter().position(|container| parts::text(container, "name") == name) else { return };
    let container = list.remove(at);
    list.insert(if matches!(to, To::First) { 0 } else { list.len() }, container);
}
