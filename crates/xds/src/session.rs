//! A session: all subscriptions of one stream, and the order in which they are served.
//!
//! It is plain data. Messages and views go in, the next response comes out when the transport can take one;
//! the time is a parameter.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use envoy_api::{Name, Resource, Version, type_url};

use crate::interest::Interest;
use crate::names::Names;
use crate::order::{Rank, is_whole, usual_kind};
use crate::request::Request;
use crate::set::Change;
use crate::subscription::{Decision, Difference, Subscription};
use crate::view::{TypeView, View};
use crate::warming::Warming;

/// Bounds of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Names that one stream may subscribe to, or have something noted of, over all types, and mention in one
    /// request.
    pub names: usize,
    /// Types that one stream may ask for.
    pub types: usize,
    /// How long a route or listener waits for the endpoints of a cluster that is new to the client.
    pub hold: Duration,
    /// How long the removal of clusters waits, from the start of a stream, for the client to say what else it wants.
    pub settle: Duration,
    /// How long a stream may say nothing before its first request. istiod waits for ever.
    pub first: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let [hold, settle] = [Duration::from_secs(5), Duration::from_millis(200)];
        Self { names: 250_000, types: 64, hold, settle, first: Duration::from_secs(30) }
    }
}

/// All subscriptions of one stream.
#[derive(Debug)]
pub struct Session {
    view: Arc<View>,
    limits: Limits,
    list: bool,
    started: Instant,
    stages: Vec<Stage>,
    /// The stage that is served next; the removal of clusters comes after the last.
    cursor: usize,
    warming: Warming,
    /// Clusters that the client holds and was sent before it asked for any endpoints.
    unfollowed: HashSet<Name>,
    nonce_prefix: String,
    nonces: u64,
}

/// One type, at its place in a push.
#[derive(Debug)]
struct Stage {
    rank: Rank,
    type_url: Arc<str>,
    subscription: Subscription,
    /// The view or the subscription has changed since this stage was last looked at.
    dirty: bool,
    /// Something stayed behind when it was.
    behind: bool,
    /// The revision of the client's interest that was last asked for.
    told: Option<u64>,
    /// Views take that into account from this count of wishes on.
    planned_from: u64,
}

/// A response to be encoded and sent.
#[derive(Clone, Debug)]
pub struct Response {
    /// The type.
    pub type_url: Arc<str>,
    /// Unique on its stream, and with high probability among all streams.
    pub nonce: String,
    /// The version of what the client then holds of the type.
    pub version: Version,
    /// The resources, ordered by name.
    pub resources: Vec<Arc<Resource>>,
    /// Names that are taken away; only delta can say this.
    pub removed: Vec<Name>,
    /// The view that all of it is taken from.
    pub view: Arc<View>,
}

/// Why a stream ends that asks for too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// More names than [`Limits::names`].
    Names,
    /// More types than [`Limits::types`].
    Types,
}

impl Session {
    /// A stream that starts `now`; `list` says that it speaks state of the world. The prefix makes its nonces
    /// unlike those of other streams.
    pub fn new(view: Arc<View>, limits: Limits, list: bool, nonce_prefix: String, now: Instant) -> Self {
        Self {
            view,
            limits,
            list,
            started: now,
            stages: Vec::new(),
            cursor: 0,
            warming: Warming::default(),
            unfollowed: HashSet::new(),
            nonce_prefix,
            nonces: 0,
        }
    }

    /// What the stream is served now.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The types that were asked for, in the order of a push.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&Arc<str>, &Subscription)> {
        self.stages.iter().map(|stage| (&stage.type_url, &stage.subscription))
    }

    /// The subscription to this type.
    pub fn subscription(&self, type_url: &str) -> Option<&Subscription> {
        self.stages.iter().find(|stage| &*stage.type_url == type_url).map(|stage| &stage.subscription)
    }

    /// Whether the client has accepted, or refused, all that it is to be sent now.
    pub fn is_current(&self) -> bool {
        self.stages.iter().all(|stage| {
            let waits = stage.behind && stage.rank != Rank::Endpoints;
            !stage.dirty && !waits && !stage.subscription.is_pending()
        })
    }

    /// Serves `view` from now on. What was not sent yet of an earlier one never will be.
    pub fn set_view(&mut self, view: Arc<View>) {
        for stage in &mut self.stages {
            let [old, new] = [&self.view, &view].map(|view| view.types.get(&stage.type_url));
            let same = match (old, new) {
                (Some(old), Some(new)) => old.same(new),
                (old, new) => old.is_none() && new.is_none(),
            };
            stage.dirty |= !same;
        }
        self.view = view;
        // Whether a cluster is there to be waited for is asked of the view.
        self.wake();
    }

    /// Takes in what the client says.
    pub fn request(&mut self, request: &Request, names: &Names) -> Result<Decision, Excess> {
        if request.mentions() > self.limits.names {
            return Err(Excess::Names);
        }
        let at = self.stage(&request.type_url, names)?;
        let Some(stage) = self.stages.get_mut(at) else { return Err(Excess::Types) };
        let rank = stage.rank;
        let decision = stage.subscription.request(request, names);
        stage.dirty = true;
        let interest = stage.subscription.interest();
        if rank == Rank::Endpoints {
            let clusters = std::mem::take(&mut self.unfollowed);
            clusters.iter().for_each(|name| stage.subscription.forget(name));
        } else if rank == Rank::Clusters && !interest.is_wildcard() {
            self.unfollowed.retain(|name| interest.covers(name));
        }
        let known: usize = self.stages.iter().map(|stage| stage.subscription.names()).sum();
        if known > self.limits.names {
            return Err(Excess::Names);
        }
        self.note(rank, &decision);
        Ok(decision)
    }

    /// What the client wants of this type, if that has changed since the last call.
    pub fn new_interest(&mut self, type_url: &str) -> Option<&Interest> {
        let stage = self.stages.iter_mut().find(|stage| &*stage.type_url == type_url)?;
        let interest = stage.subscription.interest();
        let told = stage.told.replace(interest.revision());
        (told != Some(interest.revision())).then_some(interest)
    }

    /// Names of this type that no set has are not answered before a view takes this many wishes into account.
    pub fn plan_from(&mut self, type_url: &str, wants: u64) {
        if let Some(stage) = self.stages.iter_mut().find(|stage| &*stage.type_url == type_url) {
            stage.planned_from = wants;
        }
    }

    /// Where the stage of this type is; makes it if need be.
    fn stage(&mut self, type_url: &str, names: &Names) -> Result<usize, Excess> {
        let rank = Rank::of(type_url);
        let place =
            self.stages.binary_search_by(|stage| (stage.rank, &*stage.type_url).cmp(&(rank, type_url)));
        let Err(at) = place else { return place.map_err(|_| Excess::Types) };
        if self.stages.len() >= self.limits.types {
            return Err(Excess::Types);
        }
        let kind = self.view.types.get(type_url).map_or_else(|| usual_kind(type_url), |view| view.kind);
        let subscription = Subscription::new(kind, is_whole(type_url, kind));
        let type_url = names.intern(type_url);
        self.stages.insert(
            at,
            Stage { rank, type_url, subscription, dirty: true, behind: false, told: None, planned_from: 0 },
        );
        Ok(at)
    }

    /// What a request about clusters or endpoints means for the clusters that are waited for.
    fn note(&mut self, rank: Rank, decision: &Decision) {
        let endpoints = self.stages.iter().find(|stage| stage.rank == Rank::Endpoints);
        let wants = |name: &str| endpoints.is_some_and(|stage| stage.subscription.interest().covers(name));
        match (rank, decision) {
            (Rank::Clusters, Decision::Ack { names, .. }) => {
                let find = |url, name: &str| self.view.types.get(url).and_then(|view| view.find(name));
                let expects = |name: &str| {
                    let asks = find(type_url::CLUSTER, name).is_none_or(|cluster| cluster.needs.endpoints);
                    asks && (wants(name) || find(type_url::ENDPOINT, name).is_some())
                };
                self.warming.accept(names, expects);
            }
            (Rank::Endpoints, Decision::Ack { names, .. }) => {
                self.warming.done(names.iter());
                self.warming.narrow(wants);
            }
            (Rank::Endpoints, _) => self.warming.narrow(wants),
            _ => return,
        }
        self.wake();
    }

    /// Looks again at what stayed behind.
    fn wake(&mut self) {
        for stage in self.stages.iter_mut().filter(|stage| stage.rank != Rank::Clusters) {
            stage.dirty |= stage.behind;
        }
    }

    fn find(&self, rank: Rank) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.rank == rank)
    }

    /// The next response, if there is anything to send.
    ///
    /// One call after the other goes through the stages in order. A view that arrives meanwhile counts for the
    /// stages to come; earlier ones have their turn after the last, so that none is kept from being served.
    pub fn next(&mut self, now: Instant) -> Option<Response> {
        if self.warming.expire(now, self.limits.hold) {
            self.wake();
        }
        for _ in 0..2 {
            while self.cursor < self.stages.len() {
                let at = self.cursor;
                self.cursor += 1;
                if let Some(response) = self.serve(at, false, now) {
                    return Some(response);
                }
            }
            if let Some(response) = self.remove_clusters(now) {
                return Some(response);
            }
            self.cursor = 0;
            if !self.stages.iter().any(|stage| stage.dirty) {
                break;
            }
        }
        None
    }

    /// When [`next`](Self::next) is to be asked again although nothing was heard.
    pub fn deadline(&self) -> Option<Instant> {
        let waits = self.stages.iter().any(|stage| stage.behind && stage.rank >= Rank::Listeners);
        let hold = self.warming.oldest().filter(|_| waits).map(|since| since + self.limits.hold);
        let removes = self.find(Rank::Clusters).is_some_and(|stage| stage.behind);
        let settle = Some(self.started + self.limits.settle).filter(|_| removes && !waits);
        hold.into_iter().chain(settle).min()
    }

    /// Removals of clusters come last: after all that might still use them has been replaced, and on a young
    /// stream not before the client had time to ask for it.
    fn remove_clusters(&mut self, now: Instant) -> Option<Response> {
        let users = self.stages.iter().filter(|stage| stage.rank >= Rank::Listeners);
        let settled = now >= self.started + self.limits.settle;
        if !settled || users.into_iter().any(|stage| stage.dirty || stage.behind) {
            return None;
        }
        let at = self.stages.iter().position(|stage| stage.rank == Rank::Clusters && stage.behind)?;
        self.stages.get_mut(at)?.dirty = true;
        self.serve(at, true, now)
    }

    fn serve(&mut self, at: usize, removals: bool, now: Instant) -> Option<Response> {
        let view = Arc::clone(&self.view);
        let stage = self.stages.get_mut(at).filter(|stage| stage.dirty)?;
        stage.dirty = false;
        let rank = stage.rank;
        let served = view.types.get(&stage.type_url)?;
        // Taken out for a moment: what stays behind depends on the subscriptions of other stages.
        let mut subscription = std::mem::take(&mut stage.subscription);
        let unplanned = view.wants < stage.planned_from;
        let difference = subscription.update(served, &mut |change, new| match rank {
            _ if unplanned && served.find(change.name()).is_none() => true,
            Rank::Clusters => !removals && !new && matches!(change, Change::Removed(_)),
            Rank::Endpoints => !new && self.is_leaving(served, change.name()),
            _ => self.needs_more(change),
        });
        let stage = self.stages.get_mut(at)?;
        stage.subscription = subscription;
        stage.behind = difference.as_ref().is_some_and(|difference| !difference.behind.is_empty());
        let difference = difference.filter(Difference::is_response)?;
        if rank == Rank::Clusters {
            self.note_clusters(at, &difference, now);
        }
        self.send(at, difference, served)
    }

    /// Whether a change to endpoints is that their cluster goes away. It is not told: the cluster is removed
    /// once nothing uses it any more, and the client then drops them itself.
    fn is_leaving(&self, endpoints: &TypeView, name: &str) -> bool {
        let clusters = self.find(Rank::Clusters).filter(|stage| stage.subscription.interest().is_wildcard());
        let served = clusters.and_then(|stage| self.view.types.get(&stage.type_url));
        endpoints.find(name).is_none() && served.is_some_and(|view| view.find(name).is_none())
    }

    /// Whether a change needs a cluster that the client is to have and cannot use yet.
    fn needs_more(&self, change: &Change) -> bool {
        let Change::Put(resource) = change else { return false };
        let Some(clusters) = self.find(Rank::Clusters) else { return false };
        let served = self.view.types.get(&clusters.type_url);
        // Mostly so, and a route table of a large mesh needs thousands of clusters.
        let all_sent = served.is_none_or(|view| clusters.subscription.holds_all_of(view));
        if all_sent && self.warming.is_empty() {
            return false;
        }
        resource.needs.clusters.iter().any(|name| {
            let unsent = || {
                let served = served.is_some_and(|view| view.find(name).is_some());
                served && clusters.subscription.is_new(name)
            };
            let waits = self.warming.contains(name) || !all_sent && unsent();
            waits && clusters.subscription.interest().covers(name)
        })
    }

    /// What clusters that are about to be sent mean for the stages after them: new ones are waited for, and
    /// endpoints follow new and changed ones even if the client holds them, since Envoy waits for them.
    fn note_clusters(&mut self, at: usize, difference: &Difference, now: Instant) {
        let Some(clusters) = self.stages.get(at).map(|stage| &stage.subscription) else { return };
        let sent = || difference.changes.iter().filter(|change| matches!(change, Change::Put(_)));
        let new = sent().map(Change::name).filter(|name| clusters.is_new(name)).cloned().collect();
        let gone = || difference.changes.iter().filter(|change| matches!(change, Change::Removed(_)));
        self.warming.done(gone().map(Change::name));
        self.warming.add(new, now);
        if let Some(endpoints) = self.stages.iter_mut().find(|stage| stage.rank == Rank::Endpoints) {
            sent().for_each(|change| endpoints.subscription.forget(change.name()));
            endpoints.dirty = true;
        } else {
            for change in gone() {
                self.unfollowed.remove(change.name());
            }
            self.unfollowed.extend(sent().map(|change| Name::clone(change.name())));
        }
    }

    fn send(&mut self, at: usize, difference: Difference, served: &TypeView) -> Option<Response> {
        self.nonces += 1;
        let nonce = format!("{}{:x}", self.nonce_prefix, self.nonces);
        let list = self.list;
        let stage = self.stages.get_mut(at)?;
        let (mut resources, mut removed) = (Vec::new(), Vec::new());
        for change in &difference.changes {
            match change {
                Change::Put(resource) => resources.push(Arc::clone(resource)),
                Change::Removed(name) => removed.push(Name::clone(name)),
            }
        }
        stage.subscription.sent(difference, served, nonce.clone());
        if list && stage.subscription.is_whole() {
            resources = stage.subscription.whole();
        }
        let version = stage.subscription.version(served);
        let type_url = Arc::clone(&stage.type_url);
        Some(Response { type_url, nonce, version, resources, removed, view: Arc::clone(&self.view) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Asks;
    use crate::set::Set;
    use crate::view::Kind;

    fn view(clusters: &[&str]) -> Arc<View> {
        let part = || envoy_api::Part::new(bytes::Bytes::from_static(b"x"));
        let resource =
            |name: &&str| Arc::new(Resource::from_parts((*name).into(), [part()], Default::default()));
        let set: Set = clusters.iter().map(resource).collect();
        let types = [(type_url::CLUSTER.into(), TypeView::new(Kind::Wildcard, set))].into();
        Arc::new(View { generation: 0, label: "".into(), wants: 0, since: Instant::now(), types })
    }

    #[test]
    fn clusters_that_are_gone_are_not_remembered() {
        let now = Instant::now();
        let mut session = Session::new(view(&["a"]), Limits::default(), false, String::new(), now);
        let asks =
            Asks::Delta { subscribe: Vec::new(), unsubscribe: Vec::new(), initial: Default::default() };
        let request = Request { type_url: type_url::CLUSTER.into(), nonce: String::new(), error: None, asks };
        session.request(&request, &Names::default()).unwrap();
        let late = now + Limits::default().settle;
        for names in [&["a", "b"], &["a", "c"], &["a", "d"]] {
            session.set_view(view(names));
            while session.next(late).is_some() {}
        }
        let mut names: Vec<_> = session.unfollowed.iter().map(|name| &**name).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "d"]);
    }
}
