//! How DestinationRules are merged, chosen by host and looked up by level.

use model::key::Created;
use model::networking::{LoadBalancer, SimpleLb, Subset, TrafficPolicy};
use model::{Kind, Value};

use super::*;

struct Rule(DestinationRule);

fn rule(namespace: &str, name: &str, host: &str) -> Rule {
    let key = Key {
        cluster: "Kubernetes".into(),
        kind: Kind::DestinationRule,
        namespace: namespace.into(),
        name: name.into(),
    };
    let meta = Meta {
        key,
        created: Created(0),
        labels: Labels::default(),
        annotations: Labels::default(),
        api_version: "networking.istio.io/v1".into(),
    };
    Rule(DestinationRule {
        meta,
        host: Host::new(host),
        policy: None,
        subsets: Vec::new(),
        export_to: ExportTo::Unset,
        selector: None,
    })
}

impl Rule {
    fn to(mut self, namespaces: &[&str]) -> Self {
        self.0.export_to = ExportTo::Namespaces(namespaces.iter().map(|&one| one.into()).collect());
        self
    }

    fn subsets(mut self, names: &[&str]) -> Self {
        let subset = |name: &&str| Subset { name: (*name).into(), labels: Labels::default(), policy: None };
        self.0.subsets = names.iter().map(subset).collect();
        self
    }

    fn selects(mut self, app: &str) -> Self {
        self.0.selector = Some([("app", app)].into_iter().collect());
        self
    }

    fn policy(mut self, simple: SimpleLb) -> Self {
        let load_balancer = Some(LoadBalancer { simple: Some(simple), ..LoadBalancer::default() });
        self.0.policy = Some(TrafficPolicy { load_balancer, ..TrafficPolicy::default() }.into());
        self
    }
}

fn config(rules: Vec<Rule>) -> Config {
    let mut config = Config::default();
    for Rule(rule) in rules {
        config.destination_rules.put(rule.meta.key.clone(), rule);
    }
    config
}

fn index(rules: Vec<Rule>) -> RuleIndex {
    RuleIndex::default().next(&Config::default(), &config(rules))
}

/// What a client sees: per rule the objects it is of and its subsets.
fn seen(index: &RuleIndex, client: &str, host: &str, service: &str) -> Vec<String> {
    let names = |one: &Shared<MergedRule>| {
        let from: Vec<_> = one.from.iter().map(|meta| meta.key.name.to_string()).collect();
        let subsets: Vec<_> = one.rule.subsets.iter().map(|subset| subset.name.to_string()).collect();
        format!("{}:{}", from.join("+"), subsets.join(","))
    };
    index.lookup(client, &Host::new(host), service).iter().map(names).collect()
}

#[test]
fn levels_are_client_then_service_then_root() {
    let index = index(vec![
        rule("client", "wide", "*.com"),
        rule("service", "own", "a.com"),
        rule("service", "hidden", "b.org").to(&["elsewhere"]),
        rule("istio-system", "mesh", "*"),
        rule("istio-system", "private", "a.com").to(&["istio-system"]),
    ]);
    assert_eq!(seen(&index, "client", "a.com", "service"), ["wide:"]);
    assert_eq!(seen(&index, "other", "a.com", "service"), ["own:"]);
    assert_eq!(seen(&index, "other", "b.org", "service"), ["mesh:"]);
    assert_eq!(seen(&index, "elsewhere", "b.org", "service"), ["hidden:"]);
    assert_eq!(seen(&index, "istio-system", "a.com", "service"), ["private:"]);
    assert_eq!(seen(&index, "istio-system", "c.com", "service"), ["mesh:"]);
}

#[test]
fn the_longest_wildcard_wins_and_a_wildcard_host_finds_wider_ones() {
    let index = index(vec![
        rule("n", "any", "*"),
        rule("n", "com", "*.com"),
        rule("n", "acom", "*.a.com"),
        rule("n", "exact", "x.a.com"),
    ]);
    let check = |host: &str, expected: &str| assert_eq!(seen(&index, "n", host, "n"), [expected], "{host}");
    check("x.a.com", "exact:");
    check("y.a.com", "acom:");
    check("a.com", "com:");
    check("*.a.com", "acom:");
    check("*.b.com", "com:");
    check("org", "any:");
}

#[test]
fn rules_with_equal_exports_are_merged_and_others_stand_apart() {
    let index = index(vec![
        rule("n", "1", "a.com").subsets(&["v1"]),
        rule("n", "2", "a.com").subsets(&["v1", "v2"]),
        rule("n", "3", "b.com").to(&["n"]).subsets(&["v1"]),
        rule("n", "4", "b.com").subsets(&["v2"]),
        rule("n", "5", "c.com").to(&["n"]).subsets(&["v1"]),
        rule("n", "6", "c.com").to(&["m", "n"]).subsets(&["v2"]),
    ]);
    assert_eq!(seen(&index, "n", "a.com", "n"), ["1+2:v1,v2"]);
    assert_eq!(seen(&index, "n", "b.com", "n"), ["3:v1", "4:v2"]);
    assert_eq!(seen(&index, "n", "c.com", "n"), ["5+6:v1,v2"]);
    assert_eq!(seen(&index, "m", "c.com", "n"), ["6:v2"]);
}

#[test]
fn without_the_switch_everything_of_a_host_is_merged() {
    let mut config = config(vec![
        rule("n", "1", "a.com").to(&["n"]).subsets(&["v1"]),
        rule("n", "2", "a.com").subsets(&["v2"]),
    ]);
    let settings = model::settings::Settings { enhanced_rule_merge: false, ..(*config.settings).clone() };
    config.settings = Shared::new(settings);
    let index = RuleIndex::default().next(&Config::default(), &config);
    assert_eq!(seen(&index, "n", "a.com", "n"), ["1+2:v1,v2"]);
}

#[test]
fn a_selector_comes_first_and_counts_in_its_namespace_only() {
    let index = index(vec![rule("n", "1", "a.com"), rule("n", "2", "a.com").selects("x")]);
    assert_eq!(seen(&index, "n", "a.com", "n"), ["2:", "1:"]);
    assert_eq!(seen(&index, "m", "a.com", "n"), ["1:"]);
    let found = index.lookup("n", &Host::new("a.com"), "n");
    let choose = |app: &str| {
        let labels = [("app", app)].into_iter().collect();
        RuleIndex::choose(&found, "n", &labels).map(|one| one.rule.meta.key.name.to_string())
    };
    assert_eq!(choose("x").as_deref(), Some("2"));
    assert_eq!(choose("y").as_deref(), Some("1"));
    assert_eq!(RuleIndex::choose_inbound(&found).map(|one| one.from.len()), Some(1));
}

#[test]
fn the_first_policy_wins_whole() {
    let index = index(vec![
        rule("n", "1", "a.com"),
        rule("n", "2", "a.com").policy(SimpleLb::Random),
        rule("n", "3", "a.com").policy(SimpleLb::RoundRobin),
    ]);
    let found = index.lookup("n", &Host::new("a.com"), "n");
    let policy = EffectivePolicy::of_port(found[0].rule.policy.as_deref(), 80);
    assert_eq!(policy.load_balancer.and_then(|it| it.simple), Some(SimpleLb::Random));
}

#[test]
fn a_change_keeps_the_handles_of_all_other_rules() {
    let before = config(vec![rule("n", "1", "a.com"), rule("n", "2", "b.com"), rule("m", "3", "*")]);
    let old = RuleIndex::default().next(&Config::default(), &before);
    let mut after = before.clone();
    let Rule(changed) = rule("n", "2", "b.com").subsets(&["v1"]);
    after.apply(model::Change {
        key: changed.meta.key.clone(),
        value: Some(Value::DestinationRule(changed.into())),
        origin: Default::default(),
        problems: Vec::new(),
    });
    let new = old.next(&before, &after);
    let of = |index: &RuleIndex, host: &str| index.lookup("n", &Host::new(host), "n");
    assert_eq!(of(&old, "a.com"), of(&new, "a.com"));
    assert_ne!(of(&old, "b.com"), of(&new, "b.com"));
    assert_eq!(old.local.get("m"), new.local.get("m"));
    assert_eq!(new.next(&after, &after), new);
    let fresh = RuleIndex::default().next(&Config::default(), &after);
    assert_eq!(seen(&fresh, "n", "b.com", "n"), seen(&new, "n", "b.com", "n"));
}

#[test]
fn the_default_may_hide_rules() {
    let mut config = config(vec![rule("n", "1", "a.com")]);
    let mesh = model::mesh_config::MeshConfig {
        default_destination_rule_export_to: ExportTo::Namespaces(vec![".".into()]),
        ..(*config.mesh).clone()
    };
    config.mesh = Shared::new(mesh);
    let index = RuleIndex::default().next(&Config::default(), &config);
    assert_eq!(seen(&index, "n", "a.com", "n"), ["1:"]);
    assert_eq!(seen(&index, "m", "a.com", "n"), Vec::<String>::new());
}
