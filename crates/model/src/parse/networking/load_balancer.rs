//! How an endpoint is chosen.

use istio_api::networking as api;

use super::reader::{Reader, text, texts};
use crate::networking::{
    ConsistentHash, HashAlgorithm, HashKey, LoadBalancer, LocalityLb, SimpleLb, Warmup, ZoneAware,
};
use crate::{Decimal, Text};

/// Most entries that a proxy's hash ring may have (Envoy, `RingHashLbConfig`).
const MOST_RING_ENTRIES: u64 = 8_388_608;
/// Largest table of Maglev (Envoy, `MaglevLbConfig`); the size must be a prime number.
const MOST_TABLE_ENTRIES: u64 = 5_000_011;

/// Load balancing.
pub(super) fn load_balancer(reader: &mut Reader<'_>, spec: &api::LoadBalancerSettings) -> LoadBalancer {
    LoadBalancer {
        simple: spec.simple.map(simple),
        consistent_hash: reader.optional("consistentHash", spec.consistent_hash.as_ref(), consistent_hash),
        locality: reader.optional("localityLbSetting", spec.locality_lb_setting.as_ref(), locality),
        zone_aware: spec.zone_aware_lb_setting.as_ref().map(zone_aware),
        warmup: warmup(reader, spec),
    }
}

fn simple(written: api::SimpleLb) -> SimpleLb {
    match written {
        api::SimpleLb::Unspecified => SimpleLb::Unspecified,
        api::SimpleLb::LeastConn | api::SimpleLb::LeastRequest => SimpleLb::LeastRequest,
        api::SimpleLb::Random => SimpleLb::Random,
        api::SimpleLb::Passthrough => SimpleLb::Passthrough,
        api::SimpleLb::RoundRobin => SimpleLb::RoundRobin,
    }
}

fn consistent_hash(reader: &mut Reader<'_>, spec: &api::ConsistentHashLb) -> ConsistentHash {
    let algorithm = match (&spec.maglev, &spec.ring_hash) {
        (Some(maglev), _) => HashAlgorithm::Maglev { table_size: table_size(reader, maglev.table_size) },
        (None, Some(ring)) => HashAlgorithm::RingHash {
            minimum_ring_size: ring_size(reader, "ringHash.minimumRingSize", ring.minimum_ring_size),
        },
        (None, None) => HashAlgorithm::Unset {
            minimum_ring_size: ring_size(reader, "minimumRingSize", spec.minimum_ring_size),
        },
    };
    let key = hash_key(reader, spec);
    if key.is_none() {
        reader.warn("", "hash-key-missing", "without a key every request is sent to some endpoint");
    }
    ConsistentHash { key, algorithm }
}

/// What is hashed; of several the last counts, as protobuf has it.
fn hash_key(reader: &mut Reader<'_>, spec: &api::ConsistentHashLb) -> Option<HashKey> {
    let cookie = reader.optional("httpCookie", spec.http_cookie.as_ref(), |reader, cookie| HashKey::Cookie {
        name: text(&cookie.name),
        path: text(&cookie.path),
        ttl: reader.duration("ttl", cookie.ttl),
        attributes: cookie.attributes.iter().map(|one| (text(&one.name), text(&one.value))).collect(),
    });
    let parameter = spec.http_query_parameter_name.as_ref().map(|name| HashKey::QueryParameter(text(name)));
    let source = (spec.use_source_ip == Some(true)).then_some(HashKey::SourceIp);
    let header = spec.http_header_name.as_ref().map(|name| HashKey::Header(text(name)));
    let key = parameter.or(source).or(cookie).or(header);
    let nameless = match &key {
        Some(HashKey::Header(name) | HashKey::QueryParameter(name) | HashKey::Cookie { name, .. }) => {
            name.is_empty()
        }
        Some(HashKey::SourceIp) | None => false,
    };
    if nameless {
        reader.refuse("", "name-missing", "the header, cookie or query parameter to hash needs a name");
    }
    key
}

fn ring_size(reader: &mut Reader<'_>, field: &str, written: u64) -> Option<u64> {
    if written > MOST_RING_ENTRIES {
        let detail = format!("{written} is lowered to {MOST_RING_ENTRIES}, the most that proxies accept");
        reader.warn(field, "ring-size-too-large", detail);
    }
    Some(written.min(MOST_RING_ENTRIES)).filter(|size| *size > 0)
}

fn table_size(reader: &mut Reader<'_>, written: u64) -> Option<u64> {
    if written == 0 {
        return None;
    }
    if written > MOST_TABLE_ENTRIES || !is_prime(written) {
        let detail = format!("{written} is not a prime number up to {MOST_TABLE_ENTRIES}");
        reader.leave_out("maglev.tableSize", "table-size-invalid", detail);
        return None;
    }
    Some(written)
}

fn is_prime(number: u64) -> bool {
    let mut divisors = (2..).take_while(|divisor| divisor * divisor <= number);
    number > 1 && divisors.all(|divisor| !number.is_multiple_of(divisor))
}

/// Locality load balancing, of a rule or of the mesh.
///
/// One of `distribute`, `failover` and `failoverPriority` only counts, in this order; shares of a
/// locality must sum up to 100 (Istio API reference).
pub(in crate::parse) fn locality(
    reader: &mut Reader<'_>,
    spec: &api::LocalityLoadBalancerSetting,
) -> LocalityLb {
    let failover = !spec.failover.is_empty() || !spec.failover_priority.is_empty();
    if failover && !spec.distribute.is_empty() {
        reader.refuse(
            "distribute",
            "locality-settings-exclude",
            "distribute and failover exclude each other",
        );
    }
    let distribute = reader.each("distribute", &spec.distribute, |reader, one| {
        let sum: u64 = one.to.values().map(|share| u64::from(*share)).sum();
        if sum != 100 || one.to.values().any(|share| *share == 0) {
            let detail = format!("the shares must be above 0 and sum up to 100, not {sum}");
            reader.refuse("to", "shares-invalid", detail);
        }
        (text(&one.from), one.to.iter().map(|(to, share)| (text(to), *share)).collect())
    });
    LocalityLb {
        enabled: spec.enabled,
        distribute,
        failover: spec.failover.iter().map(|one| (text(&one.from), text(&one.to))).collect(),
        failover_priority: texts(&spec.failover_priority),
    }
}

/// Zone-aware routing, of a rule or of the mesh.
pub(in crate::parse) fn zone_aware(spec: &api::ZoneAwareLoadBalancerSetting) -> ZoneAware {
    let failover: Vec<(Text, Text)> =
        spec.failover.iter().map(|one| (text(&one.from), text(&one.to))).collect();
    ZoneAware {
        disabled: spec.enabled == Some(false),
        min_cluster_size: spec.min_cluster_size,
        failover,
        failover_priority: texts(&spec.failover_priority),
    }
}

fn warmup(reader: &mut Reader<'_>, spec: &api::LoadBalancerSettings) -> Option<Warmup> {
    let Some(warmup) = &spec.warmup else {
        let duration = reader.positive_duration("warmupDurationSecs", spec.warmup_duration_secs)?;
        return Some(Warmup { duration, legacy: true, ..Warmup::default() });
    };
    reader.inside("warmup", |reader| {
        if warmup.duration.is_none() {
            reader.refuse("duration", "duration-missing", "a warmup needs a duration");
        }
        if warmup.minimum_percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            reader.refuse("minimumPercent", "percentage-out-of-range", "the range is 0 to 100");
        }
        if warmup.aggression.is_some_and(|aggression| aggression < 1.0) {
            reader.refuse("aggression", "aggression-too-small", "the aggression is at least 1");
        }
        Some(Warmup {
            duration: reader.positive_duration("duration", warmup.duration)?,
            legacy: false,
            minimum_percent: warmup.minimum_percent.map(Decimal::new),
            aggression: warmup.aggression.map(Decimal::new),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::testing::{DOMAIN, meta, spec};
    use super::*;
    use crate::Kind;

    fn parse(json: Value) -> (LoadBalancer, Vec<String>) {
        let meta = meta(Kind::DestinationRule);
        let mut reader = Reader::new(&meta, DOMAIN);
        let value = load_balancer(&mut reader, &spec(json));
        let problems = reader.finish(()).1;
        (value, problems.iter().map(|one| format!("{} [{}]", one.field, one.code)).collect())
    }

    fn clean(json: Value) -> LoadBalancer {
        let (value, problems) = parse(json);
        assert_eq!(problems, Vec::<String>::new());
        value
    }

    #[test]
    fn simple_algorithms() {
        assert_eq!(clean(json!({})), LoadBalancer::default());
        assert_eq!(clean(json!({"simple": "LEAST_CONN"})).simple, Some(SimpleLb::LeastRequest));
        assert_eq!(clean(json!({"simple": "UNSPECIFIED"})).simple, Some(SimpleLb::Unspecified));
    }

    #[test]
    fn hashes() {
        let hash = |json: Value| clean(json!({"consistentHash": json})).consistent_hash.unwrap();
        let header = hash(json!({"httpHeaderName": "x", "minimumRingSize": "2048"}));
        assert_eq!(header.key, Some(HashKey::Header("x".into())));
        assert_eq!(header.algorithm, HashAlgorithm::Unset { minimum_ring_size: Some(2048) });
        let cookie = hash(json!({"httpCookie": {"name": "c", "ttl": "0s"}, "maglev": {"tableSize": 65537}}));
        assert_eq!(cookie.algorithm, HashAlgorithm::Maglev { table_size: Some(65537) });
        assert!(matches!(cookie.key, Some(HashKey::Cookie { ttl: Some(Duration::ZERO), .. })));
        let source = hash(json!({"useSourceIp": true, "ringHash": {}}));
        assert_eq!(source.key, Some(HashKey::SourceIp));
        assert_eq!(source.algorithm, HashAlgorithm::RingHash { minimum_ring_size: None });
    }

    #[test]
    fn sizes_stay_within_what_proxies_accept() {
        let (ring, problems) =
            parse(json!({"consistentHash": {"useSourceIp": true, "minimumRingSize": 9000000}}));
        let lowered = HashAlgorithm::Unset { minimum_ring_size: Some(MOST_RING_ENTRIES) };
        assert_eq!(ring.consistent_hash.unwrap().algorithm, lowered);
        assert_eq!(problems, ["spec.consistentHash.minimumRingSize [ring-size-too-large]"]);
        for size in [4, 1, 5_000_077] {
            let (table, problems) =
                parse(json!({"consistentHash": {"useSourceIp": true, "maglev": {"tableSize": size}}}));
            assert_eq!(table.consistent_hash.unwrap().algorithm, HashAlgorithm::Maglev { table_size: None });
            assert_eq!(problems, ["spec.consistentHash.maglev.tableSize [table-size-invalid]"]);
        }
    }

    #[test]
    fn localities_and_zones() {
        let read = clean(json!({
            "localityLbSetting": {"enabled": false, "distribute": [{"from": "a/*", "to": {"b": 30, "a": 70}}]},
            "zoneAwareLbSetting": {"enabled": false, "minClusterSize": 6},
        }));
        let locality = read.locality.unwrap();
        assert_eq!(locality.enabled, Some(false));
        assert_eq!(locality.distribute, [("a/*".into(), vec![("a".into(), 70), ("b".into(), 30)])]);
        let zone = read.zone_aware.unwrap();
        assert_eq!((zone.disabled, zone.min_cluster_size), (true, Some(6)));
        let (_, problems) = parse(json!({"localityLbSetting": {
            "failover": [{"from": "a", "to": "b"}], "distribute": [{"from": "a", "to": {"b": 99}}]}}));
        assert_eq!(
            problems,
            [
                "spec.localityLbSetting.distribute [locality-settings-exclude]",
                "spec.localityLbSetting.distribute[0].to [shares-invalid]",
            ]
        );
    }

    #[test]
    fn slow_start() {
        let legacy = clean(json!({"warmupDurationSecs": "1m"})).warmup.unwrap();
        assert_eq!((legacy.duration, legacy.legacy), (Duration::from_secs(60), true));
        let warmup = clean(json!({"warmup": {"duration": "1s", "aggression": 1.5}})).warmup.unwrap();
        assert_eq!((warmup.legacy, warmup.aggression), (false, Some(Decimal::new(1.5))));
        assert_eq!(parse(json!({"warmup": {}})).1, ["spec.warmup.duration [duration-missing]"]);
    }
}
