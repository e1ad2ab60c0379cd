//! Admission: whether an object makes sense, by the very parser through which it will be read
//! (istiod-surface, section 6).

use model::parse::{self, parse_object};
use model::{Problem, Severity};
use serde_json::Value as Json;

use crate::Stats;
use crate::review::{Answer, Request, Review};

pub use model::parse::Context;

/// Kinds by group, whatever the version.
const KINDS: [(&str, &[&str]); 6] = [
    (
        "networking.istio.io",
        &[
            "DestinationRule",
            "EnvoyFilter",
            "Gateway",
            "ProxyConfig",
            "ServiceEntry",
            "Sidecar",
            "VirtualService",
            "WorkloadEntry",
            "WorkloadGroup",
        ],
    ),
    ("security.istio.io", &["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"]),
    ("telemetry.istio.io", &["Telemetry"]),
    ("extensions.istio.io", &["WasmPlugin", "TrafficExtension"]),
    (
        "gateway.networking.k8s.io",
        &[
            "BackendTLSPolicy",
            "GRPCRoute",
            "Gateway",
            "GatewayClass",
            "HTTPRoute",
            "ListenerSet",
            "ReferenceGrant",
            "TCPRoute",
            "TLSRoute",
            "UDPRoute",
        ],
    ),
    ("gateway.networking.x-k8s.io", &["XBackendTrafficPolicy", "XListenerSet", "XMesh"]),
];

/// An object with it is refused, so that it can be seen whether the webhook is called.
const ALWAYS_REJECT: &str = "internal.istio.io/webhook-always-reject";
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// What an author of many mistakes is told of.
const MOST: usize = 20;

/// The verdict on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is admitted; what hardly was meant is told.
    Valid(Vec<String>),
    /// It is refused.
    Invalid {
        /// The reason in a word, for metrics.
        reason: &'static str,
        /// The reason in full.
        message: String,
    },
}

fn invalid(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict::Invalid { reason, message: message.into() }
}

/// Answers an AdmissionReview: always with an AdmissionReview.
pub(crate) fn review(context: &Context, body: &[u8], stats: &Stats) -> String {
    let review = match Review::parse(body) {
        Ok(review) => review,
        Err(unread) => {
            stats.not_understood(200);
            return unread.0.answer(Answer::Denied(unread.1.clone()));
        }
    };
    let request = &review.request;
    if !matches!(request.operation.as_str(), "CREATE" | "UPDATE") {
        tracing::warn!(operation = request.operation, "an operation that is not validated is allowed");
        return review.answer(Answer::Allowed(Vec::new()));
    }
    let verdict = check_request(request, context);
    let kind = [request.kind.group.as_str(), request.kind.version.as_str(), request.kind.kind.as_str()];
    match verdict {
        Verdict::Valid(warnings) => {
            stats.checked(kind, None);
            review.answer(Answer::Allowed(warnings))
        }
        Verdict::Invalid { reason, message } => {
            // Who only tries, to see whether the webhook works, makes no figures.
            if request.dry_run != Some(true) {
                stats.checked(kind, Some(reason));
            }
            tracing::info!(kind = request.kind.kind, name = request.name, message, "an object is refused");
            review.answer(Answer::Denied(message))
        }
    }
}

fn check_request(request: &Request, context: &Context) -> Verdict {
    if !request.object.is_object() {
        return invalid("yaml_decode_error", "cannot decode configuration: the request has no object");
    }
    let mut object = request.object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut)
        && !request.namespace.is_empty()
    {
        metadata.entry("namespace").or_insert_with(|| request.namespace.as_str().into());
    }
    check(&object, context)
}

/// The verdict on an object of one of Istio's kinds or the Gateway API's.
pub fn check(object: &Json, context: &Context) -> Verdict {
    let text = |field: &str| object.get(field).and_then(Json::as_str).unwrap_or_default();
    let kind = text("kind");
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    if !KINDS.iter().any(|(known, kinds)| *known == group && kinds.contains(&kind)) {
        return invalid("unknown_type", format!("unrecognized type {kind}"));
    }
    let metadata = object.get("metadata").unwrap_or(&Json::Null);
    let part = |field: &str| metadata.get(field).and_then(Json::as_str).unwrap_or_default();
    let unknown = object
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys())
        .find(|name| !TOP.contains(&name.as_str()));
    if let Some(field) = unknown {
        let (namespace, name) = (part("namespace"), part("name"));
        let message = format!("unknown field \"{field}\" on {kind} resource {namespace}/{name}");
        return invalid("invalid_resource", message);
    }
    if metadata.get("annotations").and_then(|annotations| annotations.get(ALWAYS_REJECT)).is_some() {
        return invalid(
            "invalid_resource",
            "configuration is invalid: annotation requests that it be refused",
        );
    }
    if object.get("spec").is_some_and(|spec| !spec.is_object() && !spec.is_null()) {
        return invalid("crd_conversion_error", "error decoding configuration: spec: an object is expected");
    }
    by_parser(object, context)
}

/// What the parser says of it. Kinds of the Gateway API are judged by the rules in their own definitions.
fn by_parser(object: &Json, context: &Context) -> Verdict {
    let named = with_name(object);
    let Some(parse::Parsed { problems, .. }) = parse_object(&named, context) else {
        return Verdict::Valid(Vec::new());
    };
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.iter().partition(|problem| problem.severity == Severity::Error && !is_lenient(problem));
    let told =
        |problems: &[&Problem]| problems.iter().take(MOST).map(|problem| words(problem)).collect::<Vec<_>>();
    let wrong_type: Vec<_> = errors.iter().copied().filter(|problem| problem.code == "wrong-type").collect();
    if !wrong_type.is_empty() {
        let message = format!("error decoding configuration: {}", told(&wrong_type).join("; "));
        return invalid("crd_conversion_error", message);
    }
    if !errors.is_empty() {
        return invalid(
            "invalid_resource",
            format!("configuration is invalid: {}", told(&errors).join("; ")),
        );
    }
    Verdict::Valid(told(&warnings))
}

/// Codes of what does nothing, or less than it says, and which istiod admits all the same.
const LENIENT: [&str; 1] = ["format-command-invalid"];

fn is_lenient(problem: &Problem) -> bool {
    LENIENT.contains(&problem.code)
}

fn words(problem: &Problem) -> String {
    if problem.field.is_empty() {
        problem.detail.to_string()
    } else {
        format!("{}: {}", problem.field, problem.detail)
    }
}

/// The object with some name: one that is created with `generateName` has none yet.
fn with_name(object: &Json) -> Json {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        let metadata = fields.entry("metadata").or_insert_with(|| serde_json::json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.entry("name").or_insert_with(|| "object".into());
        }
    }
    object
}
