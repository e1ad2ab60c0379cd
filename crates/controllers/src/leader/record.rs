//! Who leads, as client-go writes it down in a lock and istiod with a key of its own; and who may take over.

use std::time::Duration;

use model::revision::DEFAULT;
use serde::{Deserialize, Serialize};

/// How long a leader that says nothing more is still the leader (istiod-surface 2.9).
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// For how long a leader may fail to say that it is there; then it does nothing more.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);
/// How often a leader says that it is there, and others look.
pub(super) const LOOK: Duration = Duration::from_millis(7_500);

/// What a lock holds, in the annotation `control-plane.alpha.kubernetes.io/leader`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Record {
    /// The process; empty if it has given the lock back.
    pub(super) holder_identity: String,
    /// Its revision; with `^` before it if it is not of this cluster. An istiod of old writes none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) holder_key: String,
    pub(super) lease_duration_seconds: u64,
    pub(super) acquire_time: Option<String>,
    pub(super) renew_time: Option<String>,
    pub(super) leader_transitions: u64,
}

/// Who wants to lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) identity: String,
    /// The revision; `default` for one without a name.
    pub(super) key: String,
}

impl Candidate {
    /// What to write into a lock, or nothing if somebody else leads. `silent` is for how long the record has been what it is,
    /// by our own clock; `default` is the revision that is the default one, if that is known.
    pub(super) fn claim(
        &self,
        record: Option<&Record>,
        silent: Duration,
        default: Option<&str>,
        now: &str,
    ) -> Option<Record> {
        let new = Record {
            holder_identity: self.identity.clone(),
            holder_key: self.key.clone(),
            lease_duration_seconds: LEASE.as_secs(),
            acquire_time: Some(now.to_owned()),
            renew_time: Some(now.to_owned()),
            leader_transitions: 0,
        };
        let Some(record) = record else { return Some(new) };
        if self.leads(record) {
            let (acquire_time, leader_transitions) = (record.acquire_time.clone(), record.leader_transitions);
            return Some(Record { acquire_time, leader_transitions, ..new });
        }
        let is_free = record.holder_identity.is_empty() || silent >= LEASE;
        let leader_transitions = record.leader_transitions.saturating_add(1);
        (is_free || self.comes_before(record, default)).then_some(Record { leader_transitions, ..new })
    }

    /// Whether this one leads.
    pub(super) fn leads(&self, record: &Record) -> bool {
        record.holder_identity == self.identity && record.holder_key == self.key
    }

    /// Whether the lock may be taken from a living leader: by the default revision from any other, and by a process of this
    /// cluster from one of its revision that is elsewhere.
    fn comes_before(&self, record: &Record, default: Option<&str>) -> bool {
        let (holder, is_remote) = match record.holder_key.strip_prefix('^') {
            Some(key) => (key, true),
            None => (&*record.holder_key, false),
        };
        let is_default = default == Some(&*self.key);
        (is_default && holder != self.key) || (holder == self.key && is_remote)
    }

    /// What is written when the lock is given back.
    pub(super) fn gives_back(record: &Record, now: &str) -> Record {
        Record {
            lease_duration_seconds: 1,
            acquire_time: Some(now.to_owned()),
            renew_time: Some(now.to_owned()),
            leader_transitions: record.leader_transitions,
            ..Record::default()
        }
    }
}

/// The key of a revision in locks.
pub(crate) fn key(revision: &str) -> &str {
    if revision.is_empty() { DEFAULT } else { revision }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2021-03-01T10:00:00Z";

    fn candidate(identity: &str, revision: &str) -> Candidate {
        Candidate { identity: identity.to_owned(), key: key(revision).to_owned() }
    }

    fn held(identity: &str, key: &str) -> Record {
        let time = || Some("2021-03-01T09:00:00Z".to_owned());
        Record {
            holder_identity: identity.to_owned(),
            holder_key: key.to_owned(),
            lease_duration_seconds: 30,
            acquire_time: time(),
            renew_time: time(),
            leader_transitions: 3,
        }
    }

    #[test]
    fn who_takes_the_lock() {
        let old = LEASE.as_secs();
        for (holder, key, silent, me, default, takes) in [
            // Free, or its leader is silent.
            ("", "", 0, "1-9-1", None, true),
            ("other", "1-9-2", 0, "1-9-1", None, false),
            ("other", "1-9-2", old - 1, "1-9-1", None, false),
            ("other", "1-9-2", old, "1-9-1", None, true),
            // The default revision takes it at once, from whomever.
            ("other", "1-9-2", 0, "1-9-1", Some("1-9-1"), true),
            ("other", "1-9-2", 0, "1-9-1", Some("1-9-3"), false),
            ("other", "", 0, "1-9-1", Some("1-9-1"), true),
            ("other", "1-9-1", 0, "1-9-1", Some("1-9-1"), false),
            ("other", "1-9-1", 0, "", Some("default"), true),
            ("other", "default", 0, "", Some("default"), false),
            // One of this cluster from one that is elsewhere.
            ("other", "^1-9-1", 0, "1-9-1", None, true),
            ("other", "^1-9-2", 0, "1-9-1", None, false),
            ("other", "^1-9-1", 0, "1-9-1", Some("1-9-1"), true),
            // Another replica of ours does not.
            ("me", "1-9-2", 0, "1-9-1", None, false),
        ] {
            let claim = candidate("me", me).claim(
                Some(&held(holder, key)),
                Duration::from_secs(silent),
                default,
                NOW,
            );
            assert_eq!(claim.is_some(), takes, "{holder:?} {key:?} {silent} {me:?} {default:?}");
            let transitions = claim.map(|record| record.leader_transitions);
            assert!(transitions.is_none_or(|transitions| transitions == 4));
        }
    }

    #[test]
    fn a_leader_renews_and_gives_back() {
        let me = candidate("me", "");
        let first = me.claim(None, Duration::ZERO, None, "2021-03-01T09:00:00Z").unwrap();
        let renewed = me.claim(Some(&first), Duration::ZERO, Some("1-9-1"), NOW).unwrap();
        assert_eq!(renewed.acquire_time, first.acquire_time);
        assert_eq!(
            serde_json::to_string(&renewed).unwrap(),
            r#"{"holderIdentity":"me","holderKey":"default","leaseDurationSeconds":30,"acquireTime":"2021-03-01T09:00:00Z","renewTime":"2021-03-01T10:00:00Z","leaderTransitions":0}"#
        );
        let free = Candidate::gives_back(&renewed, NOW);
        assert!(candidate("other", "1-9-2").claim(Some(&free), Duration::ZERO, None, NOW).is_some());
    }

    #[test]
    fn an_old_istiods_record_is_read() {
        let text = r#"{"holderIdentity":"istiod-1","leaseDurationSeconds":30,"acquireTime":"2021-03-01T09:00:00Z","renewTime":"2021-03-01T09:00:00Z","leaderTransitions":2}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!((&*record.holder_identity, &*record.holder_key), ("istiod-1", ""));
    }
}
