//! A subscription: what one stream wants of one type, what it holds, and so what it is to be sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use envoy_api::{Name, Resource, Version};

use crate::held::{Held, Holding};
use crate::interest::{Interest, Wish};
use crate::names::Names;
use crate::request::{Asks, Request};
use crate::set::Change;
use crate::view::{Kind, TypeView};

/// How many responses without an answer are remembered one by one. Of older ones only their nonce's being
/// unknown is noticed; a client that is so far behind does not answer at all.
const FLIGHTS: usize = 16;

/// One stream's subscription to one type.
#[derive(Debug)]
pub struct Subscription {
    kind: Kind,
    /// Whether a state-of-the-world response must name all that the client is to hold (clusters, listeners).
    whole: bool,
    interest: Interest,
    held: Held,
    flights: VecDeque<Flight>,
    last_nonce: String,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    /// There has been a request on this stream.
    started: bool,
    /// The client waits for a response, even one that brings nothing.
    owed: bool,
    /// The client speaks state of the world.
    list: bool,
    /// The client has accepted a response on this stream, so what it holds is known.
    known: bool,
    /// The version that a state-of-the-world client brought from an earlier stream.
    claimed: Option<String>,
    /// That version turned out to be what the client is to hold, so it was sent nothing.
    proven: bool,
}

/// A response on its way: what it changes, and what the client held before.
#[derive(Debug)]
struct Flight {
    nonce: String,
    changes: Vec<(Change, Option<Arc<Resource>>)>,
}

/// What a request turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The first of its type on the stream, or one that starts anew.
    Started,
    /// A change to what the client wants, or nothing.
    Changed,
    /// An ACK of the response with the request's nonce.
    Ack {
        /// Names that the client now holds for certain, or no longer holds.
        names: Vec<Name>,
        /// Whether no later response of this type has been sent.
        newest: bool,
    },
    /// A NACK: counted, logged, and served on.
    Nack,
    /// It answers a response that was never sent on this stream, or was answered before.
    Expired,
}

/// Says of a change, and of whether its name is new to the client, that it must stay behind for now.
pub type Waits<'a> = &'a mut dyn FnMut(&Change, bool) -> bool;

/// What a client is to be sent of one type, in either protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What changes, ordered by name.
    pub changes: Vec<Change>,
    /// What of it stays behind for now, ordered by name.
    pub behind: Vec<Change>,
}

impl Difference {
    /// Whether it is to be sent; not if all that there is stays behind.
    pub fn is_response(&self) -> bool {
        !self.changes.is_empty() || self.behind.is_empty()
    }
}

impl Default for Subscription {
    fn default() -> Self {
        Self::new(Kind::Named, false)
    }
}

impl Subscription {
    /// A subscription before its first request. With `whole`, a state-of-the-world response that leaves a
    /// resource out takes it away from the client.
    pub fn new(kind: Kind, whole: bool) -> Self {
        Self {
            kind,
            whole,
            interest: Interest::default(),
            held: Held::default(),
            flights: VecDeque::new(),
            last_nonce: String::new(),
            state: State::default(),
        }
    }

    /// What the client wants.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// How many names are kept for this stream alone: those that the client gave, or those of which it may hold
    /// something else than it is served, whichever are more.
    pub fn names(&self) -> usize {
        self.interest.names().len().max(self.held.exceptions())
    }

    /// Whether a state-of-the-world response names all that the client is to hold.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether responses are on their way that the client has not answered.
    pub fn is_pending(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Whether the client was never sent a resource of this name, or took it away since.
    pub fn is_new(&self, name: &str) -> bool {
        matches!(self.held.get(name), Holding::Nothing | Holding::Unknown(None))
    }

    /// Whether the client was sent everything of this view that it wants, told without a look at any name; may
    /// say no where it was.
    pub fn holds_all_of(&self, view: &TypeView) -> bool {
        self.held.is_at(view)
    }

    /// Whether the client came with the version that it is to hold, and was therefore sent nothing.
    pub fn is_proven(&self) -> bool {
        self.state.proven
    }

    /// Makes sure that this name is sent again, whatever the client holds. Does nothing for a name it does not want.
    pub fn forget(&mut self, name: &Name) {
        if self.interest.covers(name) {
            self.held.forget(Name::clone(name));
        }
    }

    /// Takes in what the client says.
    pub fn request(&mut self, request: &Request, names: &Names) -> Decision {
        let decision = self.answer(request);
        let list = matches!(request.asks, Asks::StateOfTheWorld { .. });
        if decision == Decision::Nack && !self.state.started {
            return decision;
        }
        let starts = !self.state.started || list && decision == Decision::Changed && request.nonce.is_empty();
        if starts {
            self.start(request);
        }
        match &request.asks {
            Asks::Delta { subscribe, unsubscribe, initial } => {
                self.apply_delta(subscribe, unsubscribe, names);
                if starts {
                    self.declare(initial, unsubscribe, names);
                }
            }
            Asks::StateOfTheWorld { names: wanted, .. } => {
                if starts || self.is_last_word(request, &decision) {
                    self.apply_list(wanted, names);
                }
            }
        }
        if starts { Decision::Started } else { decision }
    }

    /// Whether the list of names in a state-of-the-world request counts: not if it was made before the client
    /// saw the newest response, and an empty one not if it comes with a NACK, which means nothing else.
    fn is_last_word(&self, request: &Request, decision: &Decision) -> bool {
        match decision {
            Decision::Nack => request.mentions() > 0 && request.nonce == self.last_nonce,
            Decision::Ack { newest, .. } => *newest,
            Decision::Expired => false,
            Decision::Started | Decision::Changed => true,
        }
    }

    /// What the nonce and the error of a request say about the response that it answers.
    fn answer(&mut self, request: &Request) -> Decision {
        if request.error.is_some() {
            self.refuse(&request.nonce);
            return Decision::Nack;
        }
        if request.nonce.is_empty() {
            return Decision::Changed;
        }
        let newest = request.nonce == self.last_nonce;
        let Some(at) = self.flights.iter().position(|flight| flight.nonce == request.nonce) else {
            return if newest { Decision::Changed } else { Decision::Expired };
        };
        let accepted = self.flights.drain(..=at);
        let changes = accepted.flat_map(|flight| flight.changes);
        let names = changes.map(|(change, _)| Name::clone(change.name())).collect();
        self.state.known = true;
        Decision::Ack { names, newest }
    }

    /// After a NACK what the client holds of the refused response is unknown, save that it is not this.
    fn refuse(&mut self, nonce: &str) {
        let Some(at) = self.flights.iter().position(|flight| flight.nonce == nonce) else { return };
        let Some(refused) = self.flights.remove(at) else { return };
        for (change, former) in refused.changes {
            let name = change.name();
            let later = self.flights.iter().skip(at).any(|flight| flight.has(name));
            if later || !self.interest.covers(name) {
                continue;
            }
            let version = match &change {
                Change::Put(resource) => Some(resource.version),
                Change::Removed(_) => None,
            };
            self.held.set(Name::clone(name), Holding::Refused { version, former });
        }
    }

    /// A first request, or one without a nonce, is of a client of which nothing is known.
    fn start(&mut self, request: &Request) {
        self.interest = Interest::default();
        self.held.clear();
        self.flights.clear();
        self.state = State { started: true, owed: true, ..State::default() };
        self.state.list = matches!(request.asks, Asks::StateOfTheWorld { .. });
        if let Asks::StateOfTheWorld { version, .. } = &request.asks {
            self.state.claimed = Some(version.clone()).filter(|version| !version.is_empty());
        }
    }

    fn apply_delta(&mut self, subscribe: &[String], unsubscribe: &[String], names: &Names) {
        if subscribe.is_empty() && unsubscribe.is_empty() {
            let wish = self.interest.legacy_wildcard(self.kind);
            return self.grant(wish);
        }
        for name in subscribe {
            let wish = self.interest.subscribe(names.intern(name));
            self.grant(wish);
        }
        for name in unsubscribe {
            let wish = self.interest.unsubscribe(&names.intern(name));
            self.grant(wish);
        }
        self.held.narrow(&self.interest);
    }

    fn apply_list(&mut self, wanted: &[String], names: &Names) {
        if self.interest.is(wanted) {
            return;
        }
        let wanted = wanted.iter().map(|name| names.intern(name)).collect();
        for wish in self.interest.replace(wanted, self.kind) {
            self.grant(Some(wish));
        }
        self.held.narrow(&self.interest);
    }

    fn grant(&mut self, wish: Option<Wish>) {
        match wish {
            None => {}
            Some(Wish::Send(name)) => self.held.forget(name),
            Some(Wish::Dropped(name)) => self.held.drop(&name),
            Some(Wish::All) => {
                self.state.owed = true;
                self.held.widen(self.interest.names().iter().cloned());
            }
        }
    }

    /// Starts from the versions that a reconnecting client declares. What it holds it also wants, unless it
    /// wants all anyway or says that it does not.
    fn declare(&mut self, initial: &BTreeMap<String, String>, unsubscribe: &[String], names: &Names) {
        for (name, version) in initial {
            let name = names.intern(name);
            if !self.interest.covers(&name) && !unsubscribe.iter().any(|dropped| **dropped == *name) {
                self.interest.subscribe(Name::clone(&name));
            }
            self.held.set(name, Holding::Declared(version.parse().ok()));
        }
    }

    /// What is to be sent so that the client holds what it wants of `view`, or nothing if it does.
    pub fn update(&mut self, view: &TypeView, waits: Waits<'_>) -> Option<Difference> {
        if self.claims(view) {
            self.state.owed = false;
            self.held.advance(view, &[], &[]);
            return None;
        }
        let changes = self.held.difference(view, &self.interest);
        let (mut behind, mut changes): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| waits(change, self.is_new(change.name())));
        if self.state.list && self.whole && !self.state.known && !behind.is_empty() {
            // What is left out would be taken away from a client that may hold it.
            behind.append(&mut changes);
        }
        if self.is_worth_sending(&changes, &behind) {
            return Some(Difference { changes, behind });
        }
        self.held.advance(view, &changes, &behind);
        (!behind.is_empty()).then(|| Difference { changes: Vec::new(), behind })
    }

    /// An empty response is worth sending to a client that waits for one. State of the world has no words for
    /// "gone", or "not there", outside of the types that are sent whole.
    fn is_worth_sending(&self, changes: &[Change], behind: &[Change]) -> bool {
        let waits = self.state.owed && behind.is_empty();
        if self.state.list && !self.whole {
            let brings = changes.iter().any(|change| matches!(change, Change::Put(_)));
            return brings || waits && self.kind == Kind::Wildcard;
        }
        !changes.is_empty() || waits
    }

    /// Section "ACK/NACK and resource type instance version": a client that wants all and brings the very
    /// version that it would be sent holds it already.
    fn claims(&mut self, view: &TypeView) -> bool {
        let claimed = self.state.claimed.take();
        let applies = self.whole && self.interest.is_wildcard() && self.interest.names().is_empty();
        let version = claimed.filter(|_| applies);
        self.state.proven = version.is_some_and(|version| version == view.version().to_string());
        self.state.proven
    }

    /// Notes that `difference` was sent to bring the client to `view`.
    pub fn sent(&mut self, difference: Difference, view: &TypeView, nonce: String) {
        let former = |change: &Change| self.held.get(change.name()).resource();
        let changes: Vec<_> =
            difference.changes.iter().map(|change| (change.clone(), former(change))).collect();
        self.held.advance(view, &difference.changes, &difference.behind);
        self.note(changes, nonce);
    }

    fn note(&mut self, changes: Vec<(Change, Option<Arc<Resource>>)>, nonce: String) {
        if self.flights.len() == FLIGHTS {
            self.flights.pop_front();
        }
        self.state.owed = false;
        self.last_nonce = nonce.clone();
        self.flights.push_back(Flight { nonce, changes });
    }

    /// The version of what a client holds after the last response: that of `view` if it holds all of it.
    pub fn version(&self, view: &TypeView) -> Version {
        let own = if self.state.list && self.whole { self.held.digest() } else { 0 };
        Version(view.version().0 ^ own)
    }

    /// All that a state-of-the-world client is to hold after the last response, for types that must be whole.
    pub fn whole(&self) -> Vec<Arc<Resource>> {
        self.held.all(&self.interest, !self.state.known)
    }
}

impl Flight {
    fn has(&self, name: &Name) -> bool {
        self.changes.iter().any(|(change, _)| change.name() == name)
    }
}
