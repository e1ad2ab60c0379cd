//! The reviews service: v1 has no stars, v2 black ones, v3 red ones.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderMap;
use serde_json::{Value, json};

use super::Workload;

/// Said in place of stars when the ratings service gives none.
pub(super) const UNAVAILABLE: &str = "Ratings service is currently unavailable";

const REVIEWS: [(&str, &str); 2] = [
    ("Antipholus", "Two masters, two servants, one afternoon. I laughed before I knew which of them I was."),
    ("Dromio", "Beaten for another's errand in every act, and still the funniest evening in Ephesus."),
];

pub(super) fn add(router: Router<Arc<Workload>>) -> Router<Arc<Workload>> {
    router.route("/reviews/{id}", get(reviews))
}

async fn reviews(
    State(workload): State<Arc<Workload>>,
    Path(id): Path<u32>,
    asked: HeaderMap,
) -> Json<Value> {
    let version = workload.app.version.as_str();
    let stars = match colour(version) {
        Some(colour) => Some(stars(&workload, id, colour, &asked).await),
        None => None,
    };
    let list: Vec<Value> =
        REVIEWS.iter().map(|(reviewer, text)| review(reviewer, text, stars.as_ref())).collect();
    Json(json!({ "id": id, "podname": format!("reviews-{version}"), "version": version, "reviews": list }))
}

fn colour(version: &str) -> Option<&'static str> {
    match version {
        "v2" => Some("black"),
        "v3" => Some("red"),
        _ => None,
    }
}

/// The ratings by reviewer with their colour, or why there are none.
async fn stars(workload: &Workload, id: u32, colour: &str, asked: &HeaderMap) -> Value {
    match workload.call("ratings", &format!("/ratings/{id}"), asked).await {
        Ok(answer) => json!({ "ratings": answer.get("ratings"), "color": colour }),
        Err(cause) => json!({ "error": UNAVAILABLE, "cause": cause }),
    }
}

fn review(reviewer: &str, text: &str, stars: Option<&Value>) -> Value {
    let mut review = json!({ "reviewer": reviewer, "text": text });
    let rating = stars.map(|stars| match stars.get("ratings") {
        Some(ratings) => json!({ "stars": ratings.get(reviewer), "color": stars.get("color") }),
        None => stars.clone(),
    });
    if let (Some(fields), Some(rating)) = (review.as_object_mut(), rating) {
        fields.insert("rating".to_owned(), rating);
    }
    review
}
