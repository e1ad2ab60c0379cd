//! AdmissionReview: what an API server asks, and how it is answered. Versions v1 and v1beta1, which have one shape.

use serde::Deserialize;
use serde_json::{Value as Json, json};

const GROUP: &str = "admission.k8s.io";
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// What is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Review {
    /// The version in which it was asked, and in which it is answered.
    api_version: String,
    pub(crate) request: Request,
}

/// The question itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Request {
    uid: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) kind: Kind,
    #[serde(deserialize_with = "or_default")]
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) namespace: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) operation: String,
    pub(crate) dry_run: Option<bool>,
    pub(crate) object: Json,
}

/// What the object is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
}

fn or_default<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(
    input: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(input).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Admitted as it is, with warnings.
    Allowed(Vec<String>),
    /// Admitted with a patch.
    Patched(Json),
    /// Refused, and why.
    Denied(String),
}

impl Review {
    /// Reads a body; the error says what is wrong with it, and the review that comes along can still be answered.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Box<(Self, String)>> {
        let refuse = |reason: String| Err(Box::new((Self::default(), reason)));
        let envelope: Envelope = match serde_json::from_slice(body) {
            Ok(envelope) => envelope,
            Err(error) => return refuse(format!("could not decode the AdmissionReview: {error}")),
        };
        let version = envelope.api_version.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix('/'));
        if envelope.kind != "AdmissionReview" || !version.is_some_and(|version| VERSIONS.contains(&version)) {
            let Envelope { api_version, kind, .. } = &envelope;
            return refuse(format!(
                "unsupported type {api_version:?}, kind {kind:?}: an AdmissionReview of {GROUP}/v1 or /v1beta1 is expected"
            ));
        }
        match envelope.request {
            Some(request) => Ok(Self { api_version: envelope.api_version, request }),
            None => {
                let review = Self { api_version: envelope.api_version, request: Request::default() };
                Err(Box::new((review, "the AdmissionReview has no request".into())))
            }
        }
    }

    /// The answer as JSON.
    pub(crate) fn answer(&self, answer: Answer) -> String {
        let mut response = json!({"uid": self.request.uid, "allowed": !matches!(answer, Answer::Denied(_))});
        match answer {
            Answer::Allowed(warnings) if warnings.is_empty() => {}
            Answer::Allowed(warnings) => response["warnings"] = warnings.into(),
            Answer::Patched(patch) => {
                response["patchType"] = "JSONPatch".into();
                response["patch"] = base64(&patch.to_string()).into();
            }
            Answer::Denied(reason) => response["status"] = json!({"metadata": {}, "message": reason}),
        }
        let version = if self.api_version.is_empty() { "admission.k8s.io/v1" } else { &self.api_version };
        json!({"kind": "AdmissionReview", "apiVersion": version, "response": response}).to_string()
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
