//! The story: what is saved, what must follow from it, and how soon it did.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testkit::calls::{Answer, Client, NoAnswer, headers};
use testkit::load::{Flow, Report, Target, burst};
use tokio::task::JoinSet;

use super::mesh::{Mesh, PATIENCE};
use super::voice::{Voice, are_right, spell};

/// Calls in one measurement of shares.
const CALLS: usize = 1_000;
/// The shares while the canary runs.
const CANARY: &[(&str, f64)] = &[("v1", 80.0), ("v3", 20.0)];
/// Calls under way at a time.
const AT_ONCE: usize = 8;
/// Calls a second that go on from the first step to the last.
const STEADY: u32 = 50;
/// Between two requests that look for an effect.
const PROBE: Duration = Duration::from_millis(2);
/// Such requests under way at a time.
const PROBES: usize = 16;
/// What ratings are held up for jason, less what a clock may be off.
const DELAY: Duration = Duration::from_millis(390);
/// The files that the story edits.
const REVIEWS: &str = "routes-reviews.yaml";
const RATINGS: &str = "routes-ratings.yaml";

/// Tells it from the start of the processes to the last table.
pub(super) async fn tell(mesh: &mut Mesh, voice: &mut Voice) -> Result<()> {
    start(mesh, voice).await?;
    let flow = Flow::start(mesh.client.clone(), everybody(mesh), STEADY);
    even(mesh, voice).await?;
    canary(mesh, voice).await?;
    one_user(mesh, voice).await?;
    faults(mesh, voice).await?;
    broken_file(mesh, voice).await?;
    restart(mesh, voice).await?;
    let steady = flow.stop().await;
    finish(mesh, voice, &steady).await
}

async fn start(mesh: &mut Mesh, voice: &mut Voice) -> Result<()> {
    voice.step("Bookinfo starts: no cluster, no root, no certificates (mutual TLS is off in this mesh)")?;
    let begin = Instant::now();
    mesh.start_apps()?;
    mesh.start_pilothouse()?;
    mesh.start_envoys()?;
    mesh.until_ready().await?;
    until_served(mesh).await?;
    let folder = mesh.place.config();
    voice.say(&format!("Pilothouse reads {}", folder.display()));
    voice.say(&format!("{} Envoys are configured and serve, {}", mesh.proxies.len(), spell(begin.elapsed())));
    Ok(())
}

/// Waits until the page is answered through all the proxies.
async fn until_served(mesh: &mut Mesh) -> Result<()> {
    let begin = Instant::now();
    loop {
        let report = burst(&mesh.client, &everybody(mesh), 6, 1).await;
        if report.failed() == 0 && report.kinds.len() == 3 {
            return Ok(());
        }
        mesh.complain_if_ended()?;
        if begin.elapsed() > PATIENCE {
            bail!("the page is not served: {:?}, failures {:?}", report.kinds, report.failures);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn even(mesh: &Mesh, voice: &mut Voice) -> Result<()> {
    voice.step("Traffic is even over the three versions of reviews")?;
    let third = 100.0 / 3.0;
    let report = shares(mesh, voice, "everybody", &[("v1", third), ("v2", third), ("v3", third)]).await;
    voice.say(&format!("half of them within {}", milliseconds(report.percentile(50))));
    Ok(())
}

async fn canary(mesh: &Mesh, voice: &mut Voice) -> Result<()> {
    voice.step("A canary: 80 % to v1, 20 % to v3, by editing the VirtualService")?;
    let before = routes(mesh, "productpage-v1").await?;
    let saved = save(mesh, voice, "reviews-canary.yaml", REVIEWS)?;
    let time = until_routes(mesh, "productpage-v1", before, saved).await?;
    voice.effect("Envoy had the new routes", time);
    shares(mesh, voice, "everybody", CANARY).await;
    Ok(())
}

async fn one_user(mesh: &Mesh, voice: &mut Voice) -> Result<()> {
    voice.step("One user, jason, gets v2 by a header; the others do not notice")?;
    let saved = save(mesh, voice, "reviews-jason.yaml", REVIEWS)?;
    let time = until_answer(mesh, &jason(mesh), saved, |answer, _| kind(answer) == "v2").await?;
    voice.effect("jason's first request to v2 left", time);
    let report = burst(&mesh.client, &jason(mesh), 200, AT_ONCE).await;
    voice.shares("jason", &report, &[("v2", 100.0)]);
    shares(mesh, voice, "everybody else", CANARY).await;
    Ok(())
}

async fn faults(mesh: &Mesh, voice: &mut Voice) -> Result<()> {
    voice.step("Faults for jason alone: ratings 400 ms late, then broken, then well again")?;
    let saved = save(mesh, voice, "ratings-delay.yaml", RATINGS)?;
    let time = until_answer(mesh, &jason(mesh), saved, |_, time| time >= DELAY).await?;
    voice.effect("jason's first slow request left", time);
    let others = burst(&mesh.client, &everybody(mesh), 200, AT_ONCE).await;
    let most = others.percentile(90);
    voice.check(most < DELAY, &format!("everybody else: nine of ten within {}", milliseconds(most)));
    voice.unharmed("everybody else", &others);
    let saved = save(mesh, voice, "ratings-abort.yaml", RATINGS)?;
    let time =
        until_answer(mesh, &jason(mesh), saved, |answer, _| kind(answer) == "v2 without stars").await?;
    voice.effect("jason's first request without stars left", time);
    let saved = save(mesh, voice, "ratings-plain.yaml", RATINGS)?;
    let time = until_answer(mesh, &jason(mesh), saved, |answer, _| kind(answer) == "v2").await?;
    voice.effect("jason's first request with stars again left", time);
    Ok(())
}

async fn broken_file(mesh: &Mesh, voice: &mut Voice) -> Result<()> {
    voice.step("A broken file is saved: traffic is untouched; then it is mended")?;
    let before = mesh.pilothouse_log().len();
    let saved = save(mesh, voice, "reviews-broken.yaml", REVIEWS)?;
    match complaint(mesh, before).await {
        Some(line) => {
            voice.effect("Pilothouse said", saved.elapsed());
            voice.check(names_a_line(&line), &line);
        }
        None => voice.check(false, &format!("Pilothouse said nothing about {REVIEWS}")),
    }
    shares(mesh, voice, "everybody else", CANARY).await;
    let saved = save(mesh, voice, "reviews-v3.yaml", REVIEWS)?;
    let time = until_answer(mesh, &jason(mesh), saved, |answer, _| kind(answer) == "v3").await?;
    voice.effect("mended: jason's first request to v3 left", time);
    let report = burst(&mesh.client, &everybody(mesh), 200, AT_ONCE).await;
    voice.shares("everybody", &report, &[("v3", 100.0)]);
    Ok(())
}

async fn restart(mesh: &mut Mesh, voice: &mut Voice) -> Result<()> {
    voice.step("Pilothouse is killed while traffic flows, a file is edited, Pilothouse starts again")?;
    mesh.kill_pilothouse().await?;
    save(mesh, voice, "reviews-v1.yaml", REVIEWS)?;
    let report = burst(&mesh.client, &everybody(mesh), 200, AT_ONCE).await;
    voice.shares("without Pilothouse, everybody", &report, &[("v3", 100.0)]);
    let started = Instant::now();
    mesh.start_pilothouse()?;
    let time = until_answer(mesh, &everybody(mesh), started, |answer, _| kind(answer) == "v1").await?;
    voice.say(&format!("the edit had its effect {} after the start", spell(time)));
    until_connected(mesh).await?;
    voice.say(&format!(
        "all {} Envoys are back {} after the start",
        mesh.proxies.len(),
        spell(started.elapsed())
    ));
    let report = burst(&mesh.client, &everybody(mesh), 200, AT_ONCE).await;
    voice.shares("everybody", &report, &[("v1", 100.0)]);
    Ok(())
}

async fn finish(mesh: &mut Mesh, voice: &mut Voice, steady: &Report) -> Result<()> {
    voice.step("What the proxies hold, and what became of the traffic")?;
    for line in mesh.status()?.lines() {
        voice.say(line);
    }
    let failed = steady.failed();
    let fact = format!("steady traffic through all of this: {} requests, {failed} failed", steady.sent);
    voice.check(failed == 0, &fact);
    voice.unharmed("steady traffic", steady);
    let mut rejected = 0;
    for proxy in &mesh.proxies {
        rejected += proxy.admin.rejected().await.context("reading Envoy's statistics")?;
    }
    let fact =
        format!("updates rejected by the {} Envoys, as they count them: {rejected}", mesh.proxies.len());
    voice.check(rejected == 0, &fact);
    Ok(())
}

/// Measures and says shares. One in some hundred fair measurements is off by chance; such a one is taken on.
async fn shares(mesh: &Mesh, voice: &mut Voice, who: &str, wanted: &[(&str, f64)]) -> Report {
    let mut report = burst(&mesh.client, &everybody(mesh), CALLS, AT_ONCE).await;
    if !are_right(&report, wanted) {
        report.merge(burst(&mesh.client, &everybody(mesh), CALLS, AT_ONCE).await);
    }
    voice.shares(who, &report, wanted);
    report
}

/// Requests of people who are nobody in particular.
fn everybody(mesh: &Mesh) -> Target {
    requests(mesh, None)
}

/// Requests of the one user that the story knows.
fn jason(mesh: &Mesh) -> Target {
    requests(mesh, Some("jason"))
}

fn requests(mesh: &Mesh, user: Option<&str>) -> Target {
    Target {
        address: mesh.place.address(1, 8080),
        path: "/api/v1/products/0/reviews".to_owned(),
        headers: headers("bookinfo.example", user),
        kind,
    }
}

/// The version of reviews that answered, and whether it had to do without stars that it wanted.
fn kind(answer: &Answer) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else { return "no JSON".to_owned() };
    let version = body.get("version").and_then(Value::as_str).unwrap_or("no version");
    let is_starless = body.pointer("/reviews/0/rating/error").is_some();
    format!("{version}{}", if is_starless { " without stars" } else { "" })
}

fn save(mesh: &Mesh, voice: &Voice, step: &str, file: &str) -> Result<Instant> {
    voice.say(&format!("$ cp steps/{step} config/{file}"));
    mesh.place.save(step, file)
}

/// Updates of the outbound routes that a Pod's Envoy has accepted.
async fn routes(mesh: &Mesh, pod: &str) -> Result<u64> {
    let accepted = mesh.proxy(pod)?.admin.sum(r"rds\.9080\.update_success$").await;
    accepted.context("reading Envoy's statistics")
}

/// How long after a moment a Pod's Envoy had other routes.
async fn until_routes(mesh: &Mesh, pod: &str, before: u64, since: Instant) -> Result<Duration> {
    while routes(mesh, pod).await? == before {
        if since.elapsed() > PATIENCE {
            bail!("the Envoy of {pod} got no new routes in {PATIENCE:?}");
        }
    }
    Ok(since.elapsed())
}

/// How long after a moment the first request left whose answer shows what is waited for. Requests do not wait for
/// each other, so that slow answers hide nothing.
async fn until_answer(
    mesh: &Mesh,
    target: &Target,
    since: Instant,
    is_it: fn(&Answer, Duration) -> bool,
) -> Result<Duration> {
    let mut last = "none".to_owned();
    let mut ticks = tokio::time::interval(PROBE);
    let mut probes = JoinSet::new();
    while since.elapsed() < PATIENCE {
        tokio::select! {
            _ = ticks.tick(), if probes.len() < PROBES => drop(probes.spawn(probe(mesh.client.clone(), target.clone()))),
            Some(Ok((sent, time, answer))) = probes.join_next() => match answer {
                Ok(answer) if is_it(&answer, time) => return Ok(sent.duration_since(since)),
                Ok(answer) => last = format!("{} {}", answer.status.as_u16(), kind(&answer)),
                Err(error) => last = error.to_string(),
            },
        }
    }
    bail!("there was no effect in {PATIENCE:?}; the last answer was: {last}")
}

/// One request: when it left, how long it took and what came back.
async fn probe(client: Client, target: Target) -> (Instant, Duration, Result<Answer, NoAnswer>) {
    let sent = Instant::now();
    let answer = client.get(target.address, &target.path, &target.headers).await;
    (sent, sent.elapsed(), answer)
}

async fn until_connected(mesh: &Mesh) -> Result<()> {
    let begin = Instant::now();
    for proxy in &mesh.proxies {
        while !proxy.admin.is_connected().await {
            if begin.elapsed() > PATIENCE {
                bail!("the Envoy of {} did not come back in {PATIENCE:?}", proxy.pod.name);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// The first line about the edited file that Pilothouse wrote after so many bytes of its log.
async fn complaint(mesh: &Mesh, before: usize) -> Option<String> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let log = mesh.pilothouse_log();
        let new = log.get(before..).unwrap_or("");
        if let Some(line) = new.lines().find(|line| line.contains(REVIEWS)).filter(|_| new.ends_with('\n')) {
            return Some(line.trim().to_owned());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

/// Whether a message says where in the file.
fn names_a_line(message: &str) -> bool {
    let after = message.split(REVIEWS).nth(1).unwrap_or("");
    after.contains("line")
        || after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &'static str) -> Answer {
        Answer { status: http::StatusCode::OK, body: bytes::Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(kind(&answer(r#"{"version":"v1","reviews":[{}]}"#)), "v1");
        assert_eq!(
            kind(&answer(r#"{"version":"v2","reviews":[{"rating":{"error":"x"}}]}"#)),
            "v2 without stars"
        );
        assert_eq!(kind(&answer("oops")), "no JSON");
    }

    #[test]
    fn message_must_say_where() {
        assert!(names_a_line("config/routes-reviews.yaml:24: VirtualService …"));
        assert!(names_a_line("file=routes-reviews.yaml line=24"));
        assert!(!names_a_line("routes-reviews.yaml is bad"));
    }
}
