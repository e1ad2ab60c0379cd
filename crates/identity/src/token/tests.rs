//! Tokens are asked about once, by a queue that is bounded, and their words stay secret.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use k8s_openapi::api::authentication::v1::UserInfo;

use super::*;

fn status(change: impl FnOnce(&mut TokenReviewStatus)) -> Result<Account, Doubt> {
    let mut status = TokenReviewStatus {
        authenticated: Some(true),
        audiences: Some(vec!["istio-ca".to_owned()]),
        error: None,
        user: Some(UserInfo {
            username: Some("system:serviceaccount:web:shop".to_owned()),
            groups: Some(vec!["system:authenticated".to_owned(), "system:serviceaccounts".to_owned()]),
            ..UserInfo::default()
        }),
    };
    change(&mut status);
    account(status, &["istio-ca".to_owned()])
}

#[test]
fn only_service_accounts_with_our_audience_are_somebody() {
    assert_eq!(status(|_| {}), Ok(Account { namespace: "web".into(), name: "shop".into() }));
    let refused = |change: fn(&mut TokenReviewStatus)| {
        assert!(matches!(status(change), Err(Doubt::Refused(_))));
    };
    refused(|status| status.authenticated = Some(false));
    refused(|status| status.error = Some("expired".to_owned()));
    refused(|status| status.audiences = None);
    refused(|status| status.audiences = Some(vec!["kubernetes".to_owned()]));
    refused(|status| status.user = None);
    refused(|status| status.user.as_mut().unwrap().groups = None);
    refused(|status| status.user.as_mut().unwrap().username = Some("system:node:one".to_owned()));
    refused(|status| status.user.as_mut().unwrap().username = Some("a:b:web:shop".to_owned()));
}

/// A cluster that knows tokens which begin with `good`, and how often it was asked.
fn reviews(delay: Duration) -> (Arc<Reviews>, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&asked);
    let ask: Arc<Ask> = Arc::new(move |token| {
        counter.fetch_add(1, Relaxed);
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            match token.0.starts_with("good") {
                true => Ok(Account { namespace: "web".into(), name: "shop".into() }),
                false => Err(Doubt::Refused("no".to_owned())),
            }
        })
    });
    (Arc::new(Reviews::new(ask, Arc::default())), asked)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_about_once_in_a_while() {
    let (reviews, asked) = reviews(Duration::from_secs(1));
    let both = tokio::join!(reviews.review(Token::new("good")), reviews.review(Token::new("good")));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(asked.load(Relaxed), 1);
    tokio::time::sleep(HOLDS).await;
    assert!(reviews.review(Token::new("good")).await.is_ok());
    assert_eq!(asked.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_kept_and_an_answer_no_longer_than_its_token() {
    let (reviews, asked) = reviews(Duration::ZERO);
    for _ in 0..2 {
        assert!(reviews.review(Token::new("bad")).await.is_err());
    }
    assert_eq!(asked.load(Relaxed), 2);
    assert!(reviews.known.lock().unwrap().is_empty());
    let body = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{}}}"#, now() + 5));
    let token = Token::new(&format!("good.{body}.signature"));
    assert!(reviews.review(token.clone()).await.is_ok());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(reviews.review(token).await.is_ok());
    assert_eq!(asked.load(Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_or_in_too_long_a_queue_is_told() {
    let (reviews, _) = reviews(Duration::from_secs(3600));
    assert!(matches!(reviews.review(Token::new("good")).await, Err(Doubt::Unanswered(_))));
    let waiting: Vec<_> = (0..=WAITING)
        .map(|number| {
            let reviews = Arc::clone(&reviews);
            tokio::spawn(async move { reviews.review(Token::new(&format!("good-{number}"))).await })
        })
        .collect();
    let mut overloaded = 0;
    for answer in waiting {
        overloaded += usize::from(answer.await.unwrap() == Err(Doubt::Overload));
    }
    assert_eq!(overloaded, 1);
}

#[test]
fn a_token_does_not_print() {
    assert_eq!(format!("{:?}", Token::new("secret")), "Token([redacted])");
}
