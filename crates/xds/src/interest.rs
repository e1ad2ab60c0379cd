//! Which names a client wants of one type: the subscription rules of the xDS protocol, one function each.

use std::collections::BTreeSet;

use envoy_api::Name;

use crate::view::Kind;

/// The name that stands for all resources of a type.
pub const WILDCARD: &str = "*";

/// What a client wants of one type.
///
/// Rules are those of "xDS REST and gRPC protocol" in Envoy's documentation, cited by section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    wildcard: bool,
    named_before: bool,
    revision: u64,
    names: BTreeSet<Name>,
}

/// What a change of interest means for one name, or for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Send this name, whatever the client was sent before.
    Send(Name),
    /// The client has dropped this name.
    Dropped(Name),
    /// The client now wants all; what it holds are at most the names it wanted before.
    All,
}

impl Interest {
    /// Whether the client wants this name.
    pub fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Whether the client wants all.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Whether the client wants nothing.
    pub fn is_empty(&self) -> bool {
        !self.wildcard && self.names.is_empty()
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The names that it gave, ordered.
    pub fn names(&self) -> &BTreeSet<Name> {
        &self.names
    }

    /// Section "How the client specifies what resources to return": a client that has never named anything and
    /// names nothing wants all. Only types of the wildcard kind know this; for others it wants nothing.
    pub fn legacy_wildcard(&mut self, kind: Kind) -> Option<Wish> {
        if self.named_before || kind == Kind::Named {
            return None;
        }
        self.explicit_wildcard()
    }

    /// Section "How the client specifies what resources to return": the name `*` asks for all, beside the names
    /// that are asked for already.
    pub fn explicit_wildcard(&mut self) -> Option<Wish> {
        if self.wildcard {
            return None;
        }
        self.revision += 1;
        self.wildcard = true;
        Some(Wish::All)
    }

    /// Section "Subscribing to Resources": a name is sent when it is subscribed to, even if the client
    /// seems to hold it, since it may have forgotten it.
    pub fn subscribe(&mut self, name: Name) -> Option<Wish> {
        self.named_before = true;
        if &*name == WILDCARD {
            return self.explicit_wildcard();
        }
        self.revision += u64::from(self.names.insert(Name::clone(&name)));
        Some(Wish::Send(name))
    }

    /// Section "Unsubscribing from Resources": needs no answer, and names that were never subscribed to are
    /// ignored; under a wildcard the client must learn whether the wildcard still has the name.
    pub fn unsubscribe(&mut self, name: &Name) -> Option<Wish> {
        if &**name == WILDCARD {
            self.end_wildcard();
            self.named_before = true;
            return None;
        }
        if !self.names.remove(name) {
            return None;
        }
        self.revision += 1;
        Some(if self.wildcard { Wish::Send(Name::clone(name)) } else { Wish::Dropped(Name::clone(name)) })
    }

    /// Sections "How the client specifies what resources to return" and "Unsubscribing From Resources": in state
    /// of the world each request has the whole list. Only names that are new are sent.
    pub fn replace(&mut self, names: Vec<Name>, kind: Kind) -> Vec<Wish> {
        if names.is_empty() && !self.named_before {
            return self.legacy_wildcard(kind).into_iter().collect();
        }
        let wanted: BTreeSet<Name> = names.into_iter().collect();
        if !wanted.contains(WILDCARD) {
            self.end_wildcard();
        }
        let mut wishes = Vec::new();
        let gone: Vec<Name> = self.names.difference(&wanted).cloned().collect();
        wishes.extend(gone.iter().filter_map(|name| self.unsubscribe(name)));
        let new: Vec<Name> = wanted.difference(&self.names).cloned().collect();
        wishes.extend(new.into_iter().filter_map(|name| self.subscribe(name)));
        wishes
    }

    /// Whether a state-of-the-world list says what is known already.
    pub fn is(&self, names: &[String]) -> bool {
        let all = !self.wildcard && !names.is_empty();
        all && names.len() == self.names.len() && names.iter().all(|name| self.names.contains(name.as_str()))
    }

    fn end_wildcard(&mut self) {
        self.revision += u64::from(self.wildcard);
        self.wildcard = false;
    }
}
