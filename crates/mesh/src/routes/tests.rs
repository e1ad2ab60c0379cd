//! Which virtual services routes are taken from, and in which order.

use model::networking::{HttpMatch, HttpRoute, Mirror, Share, StringMatch, VirtualService};
use model::{Created, Labels, Millionths};

use super::{MESH, RouteIndex};
use crate::Config;
use crate::builders::{With, only, route, virtual_service};

fn index(config: &Config) -> RouteIndex {
    RouteIndex::default().next(&Config::default(), config)
}

fn bound(index: &RouteIndex, gateway: &str, namespace: &str) -> Vec<String> {
    index.bound_to(gateway, namespace).map(|one| one.meta.key.name.to_string()).collect()
}

fn aged(id: &str, age: i64) -> VirtualService {
    let mut one = virtual_service(id, "a.com", &["a.com"]);
    one.meta.created = Created(age);
    one
}

#[test]
fn private_then_exported_then_public_each_oldest_first() {
    let exported = |id, to: &[&str]| VirtualService { export_to: only(to), ..aged(id, 1) };
    let at_gateway = VirtualService { gateways: vec!["a/gw".into()], ..aged("a/gateway", 0) };
    let config = Config::default()
        .with(aged("a/young", 3))
        .with(aged("b/old", 2))
        .with(exported("b/exported", &["a", "b"]))
        .with(exported("a/private", &["a"]))
        .with(exported("a/hidden", &[]))
        .with(at_gateway);
    let index = index(&config);
    assert_eq!(bound(&index, MESH, "a"), ["private", "exported", "old", "young"]);
    assert_eq!(bound(&index, MESH, "b"), ["exported", "old", "young"]);
    assert_eq!(bound(&index, MESH, "c"), ["old", "young"]);
    assert_eq!(bound(&index, "a/gw", "c"), ["gateway"]);
    assert!(index.is_public_to("c") && !index.is_public_to("b"));
}

#[test]
fn the_default_may_make_them_private() {
    let before = Config::default().with(aged("a/one", 0));
    let old = index(&before);
    let mut after = before.clone();
    let mut mesh = (*after.mesh).clone();
    mesh.default_virtual_service_export_to = only(&["."]);
    after.mesh = memo::Shared::new(mesh);
    let new = old.next(&before, &after);
    assert_eq!(bound(&new, MESH, "b"), Vec::<String>::new());
    assert_eq!(bound(&new, MESH, "a"), ["one"]);
    assert_eq!(new.next(&after, &before).bound_to(MESH, "b").count(), 1);
}

fn delegating(name: &str, matches: Vec<HttpMatch>) -> VirtualService {
    let rule = HttpRoute {
        name: name.into(),
        matches,
        delegate: Some(("leaf".into(), "b".into())),
        ..HttpRoute::default()
    };
    VirtualService {
        http: vec![rule.into(), route("rest.com").into()],
        ..virtual_service("a/root", "a.com", &[])
    }
}

fn leaf(name: &str, matches: Vec<HttpMatch>) -> VirtualService {
    let rule = HttpRoute { name: name.into(), matches, ..route("leaf.com") };
    VirtualService { hosts: Vec::new(), http: vec![rule.into()], ..virtual_service("b/leaf", "x", &[]) }
}

fn resolved(index: &RouteIndex) -> VirtualService {
    (**index.bound_to(MESH, "a").next().unwrap()).clone()
}

fn codes(index: &RouteIndex) -> Vec<&'static str> {
    index.problems().map(|problem| problem.code).collect()
}

#[test]
fn a_delegate_comes_and_goes() {
    let before = Config::default().with(delegating("root", Vec::new()));
    let alone = index(&before);
    assert_eq!((resolved(&alone).http.len(), codes(&alone)), (1, vec!["delegate-not-found"]));
    let after = before.clone().with(leaf("leaf", Vec::new()));
    let together = alone.next(&before, &after);
    assert_eq!((resolved(&together).http.len(), codes(&together)), (2, vec![]));
    assert_eq!(&*resolved(&together).http[0].name, "root-leaf");
    assert_eq!(bound(&together, MESH, "a"), ["root"]);
    let hidden = after.clone().with(VirtualService { export_to: only(&["b"]), ..leaf("leaf", Vec::new()) });
    let index = together.next(&after, &hidden);
    assert_eq!((resolved(&index).http.len(), codes(&index)), (1, vec!["delegate-not-visible"]));
    let gone = index.next(&hidden, &before);
    assert_eq!((resolved(&gone).http.len(), codes(&gone)), (1, vec!["delegate-not-found"]));
}

#[test]
fn an_object_with_hosts_is_no_delegate() {
    let with_hosts = VirtualService { hosts: vec![model::Host::new("x")], ..leaf("leaf", Vec::new()) };
    let index = index(&Config::default().with(delegating("root", Vec::new())).with(with_hosts));
    assert_eq!(codes(&index), ["delegate-has-hosts"]);
}

/// `host share` of every mirror of the first rule.
fn mirrors(root: HttpRoute, leaf_rule: HttpRoute) -> Vec<String> {
    let mut owner = delegating("", Vec::new());
    owner.http = vec![HttpRoute { delegate: Some(("leaf".into(), "b".into())), ..root }.into()];
    let leaf = VirtualService { http: vec![leaf_rule.into()], ..leaf("", Vec::new()) };
    let http = resolved(&index(&Config::default().with(owner).with(leaf))).http;
    http[0].all_mirrors().map(|(to, share)| format!("{} {share:?}", to.host)).collect()
}

#[test]
fn a_delegate_takes_of_mirrors_what_it_does_not_say() {
    let to = |host| Some(route(host).routes[0].destination.clone());
    let list = |host| vec![Mirror { destination: to(host).unwrap(), share: Share::Unset }];
    let percentage = Some(Millionths(7));
    let root = HttpRoute { mirror: to("r"), mirror_percentage: percentage, ..HttpRoute::default() };
    assert_eq!(mirrors(root.clone(), route("x")), ["r Fraction(Millionths(7))"]);
    let one = HttpRoute { mirror: to("l"), mirror_percent: Some(3), ..route("x") };
    assert_eq!(mirrors(root.clone(), one), ["l Fraction(Millionths(7))"]);
    let more = HttpRoute { mirrors: list("m"), ..route("x") };
    assert_eq!(mirrors(root.clone(), more.clone()), ["r Fraction(Millionths(7))", "m Unset"]);
    let lists = HttpRoute { mirrors: list("n"), ..root };
    assert_eq!(mirrors(lists, more), ["r Fraction(Millionths(7))", "m Unset"]);
}

fn check(root: HttpMatch, leaf_match: HttpMatch, merged: Option<&HttpMatch>) {
    let config = Config::default().with(delegating("", vec![root])).with(leaf("", vec![leaf_match]));
    let index = index(&config);
    let http = resolved(&index).http;
    let found = (http.len() == 2).then(|| http[0].matches[0].clone());
    assert_eq!(found.as_ref(), merged);
}

#[test]
fn a_condition_of_the_delegate_lies_within_one_of_the_root() {
    let uri = |uri: StringMatch| HttpMatch { uri: Some(uri), ..HttpMatch::default() };
    let prefix = |text: &str| uri(StringMatch::Prefix(text.into()));
    let exact = |text: &str| uri(StringMatch::Exact(text.into()));
    let regex = |text: &str| uri(StringMatch::Regex(text.into()));
    check(prefix("/a"), prefix("/a/b"), Some(&prefix("/a/b")));
    check(prefix("/a/b"), prefix("/a"), None);
    check(prefix("/a"), exact("/ab"), Some(&exact("/ab")));
    check(exact("/a"), exact("/a"), Some(&exact("/a")));
    check(exact("/a"), prefix("/a"), None);
    check(regex("/a"), regex("/a"), None);
    check(HttpMatch::default(), regex("/a"), Some(&regex("/a")));
    check(prefix("/a"), HttpMatch { ignore_uri_case: true, ..prefix("/a") }, None);
}

#[test]
fn ports_clients_and_gateways_of_both_must_agree() {
    let port = |port| HttpMatch { port, ..HttpMatch::default() };
    check(port(80), port(0), Some(&port(80)));
    check(port(80), port(81), None);
    let from = |name: &str| HttpMatch { source_namespace: name.into(), ..HttpMatch::default() };
    check(from("a"), from("a"), Some(&from("a")));
    check(from("a"), from(""), None);
    check(from(""), from("a"), Some(&from("a")));
    let labels = |value: &str| HttpMatch {
        source_labels: [("app", value)].into_iter().collect::<Labels>(),
        ..HttpMatch::default()
    };
    check(labels("x"), labels("x"), Some(&labels("x")));
    check(labels("x"), labels("y"), None);
    let gateways = |names: &[&str]| HttpMatch {
        gateways: names.iter().map(|name| (*name).into()).collect(),
        ..HttpMatch::default()
    };
    check(gateways(&["mesh", "a/b"]), gateways(&["mesh"]), Some(&gateways(&["mesh"])));
    check(gateways(&["mesh"]), gateways(&["a/b"]), None);
    check(gateways(&["mesh"]), gateways(&[]), Some(&gateways(&["mesh"])));
}

#[test]
fn headers_of_both_are_joined() {
    let headers = |pairs: &[(&str, &str)]| HttpMatch {
        headers: pairs
            .iter()
            .map(|(name, text)| ((*name).into(), StringMatch::Exact((*text).into())))
            .collect(),
        ..HttpMatch::default()
    };
    check(headers(&[("b", "1")]), headers(&[("a", "2")]), Some(&headers(&[("a", "2"), ("b", "1")])));
    check(headers(&[("a", "1")]), headers(&[("a", "2")]), None);
}

#[test]
fn rules_for_clients_of_a_namespace_are_known() {
    let mut one = aged("a/one", 0);
    let condition = HttpMatch { source_namespace: "b".into(), ..HttpMatch::default() };
    one.http = vec![HttpRoute { matches: vec![condition], ..route("x.com") }.into()];
    let before = Config::default().with(one);
    let old = index(&before);
    assert!(!old.is_public_to("b") && old.is_public_to("a"));
    assert!(old.next(&before, &Config::default()).is_public_to("b"));
}
