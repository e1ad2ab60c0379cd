//! Addresses for hosts that have none, made up from their names; used where the allocator that writes them
//! into ServiceEntries is switched off (xds-semantics, auto-allocated VIPs).

use std::collections::BTreeMap;

use model::service::UNSPECIFIED;
use model::{Host, Registry, Resolution, Service, Text};

/// How many addresses there are.
const SLOTS: u32 = 256 * 254;
/// The largest prime below [`SLOTS`], for the steps after a collision.
const PRIME: u32 = 65_011;

/// A host within a namespace, which has one address however many objects declare it.
pub(super) type Name = (Text, Host);

/// Whether the service is given an address, and its name.
pub(super) fn name(service: &Service) -> Option<Name> {
    let wants = service.registry == Registry::External
        && &*service.address == UNSPECIFIED
        && !service.host.is_wildcard()
        && service.resolution != Resolution::Passthrough;
    wants.then(|| (service.namespace.clone(), service.host.clone()))
}

/// An IPv4 and an IPv6 address for every name. Names may be there several times, and then take several
/// slots, as in istiod. Of those that collide the first by name keeps its place.
pub(super) fn allocate(names: impl Iterator<Item = Name>) -> BTreeMap<Name, Vec<Text>> {
    let mut slots: BTreeMap<u32, Name> = BTreeMap::new();
    let mut sorted: Vec<Name> = names.collect();
    sorted.sort();
    for name in sorted.into_iter().take(SLOTS as usize - 1) {
        slots.insert(free_slot(&slots, &name), name);
    }
    let mut given = BTreeMap::new();
    let mut skipped = 0;
    for (slot, name) in slots {
        let mut number = slot + 1 + skipped;
        if number % 255 == 0 {
            // No address ends in 0; all that follow move up by one.
            number += 1;
            skipped += 1;
        }
        given.entry(name).or_insert_with(|| addresses(number / 255, number % 255));
    }
    given
}

fn free_slot(taken: &BTreeMap<u32, Name>, (namespace, host): &Name) -> u32 {
    let hash = fnv(format!("{namespace}/{host}").as_bytes());
    let first = hash % SLOTS;
    if !taken.contains_key(&first) {
        return first;
    }
    let step = PRIME - hash % PRIME;
    let later = |turn: u32| hash.wrapping_add(turn.wrapping_mul(step)) % (SLOTS - 1);
    (1..SLOTS).map(later).find(|slot| !taken.contains_key(slot)).unwrap_or(first)
}

/// The FNV-1a hash of 32 bits.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn addresses(third: u32, fourth: u32) -> Vec<Text> {
    let v4 = format!("240.240.{third}.{fourth}");
    let v6 = if third == 0 {
        format!("2001:2::f0f0:{fourth:x}")
    } else {
        format!("2001:2::f0f0:{third:x}{fourth:x}")
    };
    vec![v4.into(), v6.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(names: &[&str]) -> Vec<String> {
        let names: Vec<Name> = names.iter().map(|host| ("a".into(), Host::new(host))).collect();
        let given = allocate(names.iter().cloned());
        names.iter().map(|name| given[name].join(" ")).collect()
    }

    #[test]
    fn addresses_follow_names() {
        // The test vector of FNV-1a.
        assert_eq!(fnv(b"foobar"), 0xbf9c_f968);
        let alone = given(&["x.com"]);
        let twice = given(&["x.com", "x.com"]);
        assert_eq!(twice[0], twice[1]);
        let slot = fnv(b"a/x.com") % SLOTS + 1;
        let (third, fourth) = (slot / 255, slot % 255);
        assert_eq!(alone, [format!("240.240.{third}.{fourth} 2001:2::f0f0:{third:x}{fourth:x}")]);
    }

    #[test]
    fn no_two_names_share_an_address() {
        let names: Vec<String> = (0..2_000).map(|number| format!("h{number}.com")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut all = given(&names);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), names.len());
        assert!(all.iter().all(|one| !one.contains(".0 ") || one.starts_with("240.240.0.")));
    }
}
