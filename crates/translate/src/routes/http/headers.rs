//! Changes of headers.

use core::header_value_option::HeaderAppendAction;
use envoy_api::envoy::config::core::v3 as core;
use model::Text;
use model::networking::{HeaderChanges, HeaderOperations};

/// Changes of headers as Envoy's routes and weighted clusters hold them.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) request_add: Vec<core::HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<core::HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
    /// A set or added `host` or `:authority` header, which is a rewrite.
    pub(super) authority: Option<String>,
}

impl Changes {
    /// What is set comes before what is added; `host` and pseudo headers are left out.
    pub(super) fn build(changes: &HeaderChanges) -> Self {
        let authority = authority(&changes.request.set).or_else(|| authority(&changes.request.add));
        Self {
            request_add: additions(&changes.request),
            request_remove: removals(&changes.request),
            response_add: additions(&changes.response),
            response_remove: removals(&changes.response),
            authority,
        }
    }

    /// These changes, then those of a destination.
    pub(super) fn extend(&mut self, other: Self) {
        self.request_add.extend(other.request_add);
        self.request_remove.extend(other.request_remove);
        self.response_add.extend(other.response_add);
        self.response_remove.extend(other.response_remove);
        if self.authority.is_none() {
            self.authority = other.authority;
        }
    }
}

/// One header to be set or added.
pub(super) fn addition(key: &str, value: &str, action: HeaderAppendAction) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue { key: key.into(), value: value.into(), ..Default::default() }),
        append_action: action as i32,
        ..Default::default()
    }
}

fn additions(operations: &HeaderOperations) -> Vec<core::HeaderValueOption> {
    let of = |list: &[(Text, Text)], action: HeaderAppendAction| {
        let changeable = list.iter().filter(|(key, _)| !is_fixed(key));
        changeable.map(|(key, value)| addition(key, value, action)).collect::<Vec<_>>()
    };
    let set = of(&operations.set, HeaderAppendAction::OverwriteIfExistsOrAdd);
    let add = of(&operations.add, HeaderAppendAction::AppendIfExistsOrAdd);
    [set, add].concat()
}

fn removals(operations: &HeaderOperations) -> Vec<String> {
    operations.remove.iter().filter(|key| !is_fixed(key)).map(ToString::to_string).collect()
}

fn authority(list: &[(Text, Text)]) -> Option<String> {
    let is_authority = |key: &str| key.eq_ignore_ascii_case(":authority") || key.eq_ignore_ascii_case("host");
    let mut values = list.iter().filter(|(key, _)| is_authority(key)).map(|(_, value)| value.to_string());
    values.next_back().filter(|value| !value.is_empty())
}

/// Whether Envoy does not let the header be changed like others.
fn is_fixed(key: &str) -> bool {
    key.starts_with(':') || key.eq_ignore_ascii_case("host")
}
