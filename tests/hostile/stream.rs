//! A session of the discovery server under whatever a client sends: it survives it, and comes to an end.

use std::sync::Arc;

use bytes::Bytes;
use envoy_api::{Needs, Part, Resource, Version, type_url};
use tokio::time::Instant;
use xds::{
    Asks, Kind, Limits, Names, Request, Session, Set, TypeView, View, decode_delta, decode_list,
    encode_delta, encode_list,
};

/// How many responses one message may cause before something is wrong.
const MOST_RESPONSES: usize = 64;

/// Reads `input` as the messages of one stream, each with its length before it as one byte, and serves them.
/// The first bit says which protocol it is. Returns how many responses there were.
///
/// # Panics
///
/// If one message causes responses without end.
pub(crate) fn stream(input: &[u8]) -> usize {
    let Some((first, mut rest)) = input.split_first() else { return 0 };
    let list = first & 1 == 1;
    let (names, now) = (Names::default(), Instant::now());
    let limits = Limits { names: 1_000, ..Limits::default() };
    let mut session = Session::new(view(0), limits, list, String::new(), now);
    let mut responses = 0;
    let mut round = 0;
    while let Some((len, tail)) = rest.split_first() {
        let (message, tail) = tail.split_at((*len as usize).min(tail.len()));
        rest = tail;
        round += 1;
        let decoded = if list { decode_list(message) } else { decode_delta(message) };
        let Ok((mut request, _)) = decoded else { break };
        // Nonces cannot be guessed; every other one is made to fit.
        if round % 2 == 0 {
            request.nonce = format!("{responses:x}");
        }
        if session.request(&request, &names).is_err() {
            break;
        }
        if message.len() % 3 == 0 {
            session.set_view(view(round));
        }
        responses += answers(&mut session, list, now + limits.settle * round);
    }
    responses
}

/// Reads `input` as one request of either protocol and says how many names and versions of ours it mentions, if it can be read.
pub(crate) fn request(input: &[u8]) -> Option<usize> {
    let [delta, list] = [decode_delta(input), decode_list(input)];
    let mentions = |(request, _): (Request, _)| {
        let versions = match &request.asks {
            Asks::Delta { initial, .. } => {
                initial.values().filter(|text| text.parse::<Version>().is_ok()).count()
            }
            Asks::StateOfTheWorld { .. } => 0,
        };
        request.mentions() + versions
    };
    delta.ok().map(mentions).into_iter().chain(list.ok().map(mentions)).max()
}

fn answers(session: &mut Session, list: bool, now: Instant) -> usize {
    for at in 0..MOST_RESPONSES {
        let Some(response) = session.next(now) else { return at };
        let _ = if list { encode_list(&response) } else { encode_delta(&response) };
    }
    assert!(session.next(now).is_none(), "responses without end");
    MOST_RESPONSES
}

/// A small mesh that is a little different each round.
fn view(round: u32) -> Arc<View> {
    let resource = |name: &str, content: u32, needs: &[&str]| {
        let needs = Needs { clusters: needs.iter().map(|name| (*name).into()).collect(), ..Needs::default() };
        let part = Part::new(Bytes::copy_from_slice(&content.to_be_bytes()));
        Arc::new(Resource::from_parts(name.into(), [part], needs))
    };
    let two = |needs: &[&str]| -> Set {
        [resource("a", round / 2, needs), resource("b", 0, &[])].into_iter().collect()
    };
    let one = |name| -> Set { [resource(name, round, &[])].into_iter().collect() };
    let needing: &[&str] = if round.is_multiple_of(3) { &["a"] } else { &["b"] };
    let types = [
        (
            type_url::CLUSTER,
            TypeView::new(Kind::Wildcard, if round.is_multiple_of(2) { two(&[]) } else { one("b") }),
        ),
        (type_url::ENDPOINT, TypeView::new(Kind::Named, two(&[]))),
        (type_url::LISTENER, TypeView::new(Kind::Wildcard, two(needing))),
        (type_url::ROUTE, TypeView::new(Kind::Named, two(needing))),
    ];
    let types = types.into_iter().map(|(url, view)| (url.into(), view)).collect();
    Arc::new(View { generation: round.into(), label: "".into(), wants: 0, since: Instant::now(), types })
}
