//! The product page: HTML for people, JSON of its parts for measuring.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::Workload;

/// Who looks at the page, for a browser that can set no header.
#[derive(Deserialize)]
struct Visitor {
    user: Option<String>,
}

pub(super) fn add(router: Router<Arc<Workload>>) -> Router<Arc<Workload>> {
    router
        .route("/productpage", get(page))
        .route("/api/v1/products/{id}", get(details))
        .route("/api/v1/products/{id}/reviews", get(reviews))
}

async fn details(workload: State<Arc<Workload>>, Path(id): Path<u32>, asked: HeaderMap) -> Response {
    part(&workload, "details", id, &asked).await
}

async fn reviews(workload: State<Arc<Workload>>, Path(id): Path<u32>, asked: HeaderMap) -> Response {
    part(&workload, "reviews", id, &asked).await
}

/// The answer of another service as it is, or 503 with the reason.
async fn part(workload: &Workload, service: &str, id: u32, asked: &HeaderMap) -> Response {
    match workload.call(service, &format!("/{service}/{id}"), asked).await {
        Ok(answer) => Json(answer).into_response(),
        Err(cause) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(serde_json::json!({ "error": cause }))).into_response()
        }
    }
}

async fn page(
    workload: State<Arc<Workload>>,
    Query(visitor): Query<Visitor>,
    mut asked: HeaderMap,
) -> Html<String> {
    let user = visitor.user.filter(|user| !user.is_empty());
    if let Some(value) = user.as_deref().and_then(|user| HeaderValue::from_str(user).ok()) {
        asked.insert("end-user", value);
    }
    let (details, reviews) = tokio::join!(
        workload.call("details", "/details/0", &asked),
        workload.call("reviews", "/reviews/0", &asked)
    );
    Html(render(user.as_deref(), &details, &reviews))
}

type Part = Result<Value, String>;

fn render(user: Option<&str>, details: &Part, reviews: &Part) -> String {
    let user = user.map_or_else(
        || "nobody signed in".to_owned(),
        |user| format!("signed in as <b>{}</b>", escape(user)),
    );
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Bookinfo</title>\
         <style>body{{font:16px/1.5 sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}}\
         .black{{color:#111}}.red{{color:#c22}}dt{{font-weight:bold}}small{{color:#666}}</style>\
         <h1>The Comedy of Errors</h1>\
         <p>{user} &middot; <a href=\"?user=jason\">jason</a> &middot; <a href=\"?\">nobody</a></p>\
         <h2>Details</h2>{}<h2>Reviews</h2>{}</html>\n",
        render_details(details),
        render_reviews(reviews),
    )
}

fn render_details(details: &Part) -> String {
    let facts = match details {
        Ok(details) => details,
        Err(cause) => return sorry("Details", cause),
    };
    let mut html = "<dl>".to_owned();
    for (name, value) in facts.as_object().into_iter().flatten() {
        let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(&plain(value)));
    }
    html + "</dl>"
}

fn render_reviews(reviews: &Part) -> String {
    let answer = match reviews {
        Ok(answer) => answer,
        Err(cause) => return sorry("Reviews", cause),
    };
    let mut html = String::new();
    for review in answer.get("reviews").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| escape(&plain(review.get(name).unwrap_or(&Value::Null)));
        let _ = write!(html, "<blockquote><p>{}</p>&mdash; {} ", text("text"), text("reviewer"));
        html.push_str(&review.get("rating").map(render_stars).unwrap_or_default());
        html.push_str("</blockquote>");
    }
    let by = escape(&plain(answer.get("podname").unwrap_or(&Value::Null)));
    let _ = write!(html, "<small>served by {by}</small>");
    html
}

fn render_stars(rating: &Value) -> String {
    let Some(stars) = rating.get("stars").and_then(Value::as_u64) else {
        return sorry("Ratings", &plain(rating.get("error").unwrap_or(&Value::Null)));
    };
    let full = usize::try_from(stars.min(5)).unwrap_or(5);
    let colour = escape(&plain(rating.get("color").unwrap_or(&Value::Null)));
    format!("<span class=\"{colour}\">{}{}</span>", "&#9733;".repeat(full), "&#9734;".repeat(5 - full))
}

fn sorry(what: &str, cause: &str) -> String {
    format!("<i>{what} are not available. <small>{}</small></i>", escape(cause))
}

/// A JSON value as a person writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn page_shows_stars_and_who_served_them() {
        let rating = json!({ "stars": 4, "color": "red" });
        let reviews = json!({ "podname": "reviews-v3", "reviews": [{ "reviewer": "A", "text": "B", "rating": rating }] });
        let html = render(None, &Ok(json!({ "pages": 200 })), &Ok(reviews));
        assert!(html.contains("<span class=\"red\">&#9733;&#9733;&#9733;&#9733;&#9734;</span>"));
        assert!(html.contains("served by reviews-v3"));
    }

    #[test]
    fn page_says_what_is_missing() {
        let html = render(Some("<me>"), &Err("details answered 503".to_owned()), &Err("late".to_owned()));
        assert!(html.contains("Details are not available"));
        assert!(html.contains("&lt;me&gt;"));
    }
}
