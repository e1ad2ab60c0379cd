//! Sticky sessions by a service's labels.

use envoy_api::Any;
use envoy_api::envoy::config::core::v3::TypedExtensionConfig;
use envoy_api::envoy::extensions::filters::http::stateful_session::v3 as filter;
use envoy_api::envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState;
use envoy_api::envoy::extensions::http::stateful_session::header::v3::HeaderBasedSessionState;
use envoy_api::envoy::r#type::http::v3::Cookie;
use model::labels::{SESSION_COOKIE, SESSION_HEADER};
use model::settings::Settings;
use model::{Labels, Text};

/// The filter that [`Session::build`] is for.
pub(crate) const FILTER: &str = "envoy.filters.http.stateful_session";

/// What carries the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Session {
    /// A cookie that lives as long as the browser, by name and path.
    Cookie(Text, Text),
    /// A header.
    Header(Text),
}

impl Session {
    /// What a service's labels ask for (`istio.io/persistent-session`, `…-header`); `None` without the
    /// switch `PILOT_ENABLE_PERSISTENT_SESSION_FILTER`. A cookie is written `name:path`, the path is `/`
    /// if left out.
    pub(crate) fn of(labels: &Labels, settings: &Settings) -> Option<Self> {
        if !settings.persistent_session_filter {
            return None;
        }
        let label = |name| labels.get(name).filter(|value| !value.is_empty());
        if let Some(cookie) = label(SESSION_COOKIE) {
            let (name, path) = cookie.split_once(':').unwrap_or((cookie, "/"));
            return Some(Self::Cookie(name.into(), path.into()));
        }
        label(SESSION_HEADER).map(|name| Self::Header(name.into()))
    }

    /// The setting for the filter on a route or virtual host.
    pub(crate) fn build(&self) -> Any {
        use filter::stateful_session_per_route::Override;
        let (kind, config) = match self {
            Self::Cookie(name, path) => ("cookie", Any::pack(&cookie_state(name, path))),
            Self::Header(name) => ("header", Any::pack(&HeaderBasedSessionState { name: name.to_string() })),
        };
        let state = TypedExtensionConfig {
            name: format!("envoy.http.stateful_session.{kind}"),
            typed_config: Some(config),
        };
        let session = filter::StatefulSession { session_state: Some(state), ..Default::default() };
        Any::pack(&filter::StatefulSessionPerRoute { r#override: Some(Override::StatefulSession(session)) })
    }
}

fn cookie_state(name: &str, path: &str) -> CookieBasedSessionState {
    let cookie = Cookie { name: name.into(), path: path.into(), ..Default::default() };
    CookieBasedSessionState { cookie: Some(cookie) }
}
