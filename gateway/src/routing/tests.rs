//! Who stands where in the line, and that load is shared while each client stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::config::Config;
use schemas::outcome::Capability;

use super::*;
use crate::catalog::Catalog;
use crate::health::{Admission, Claim, Fault};

/// A model whose routes are these: endpoint, priority, weight, and further lines of the route.
fn model(routes: &[(&str, i32, u32, &str)]) -> (Arc<Listed>, Health) {
    let mut file = String::new();
    for (name, ..) in routes {
        file += &format!(
            "[[providers]]\nname = \"{name}\"\n[[providers.endpoints]]\nname = \"{name}\"\nformat = \"anthropic\"\n\
             base_url = \"http://127.0.0.1:9\"\n"
        );
    }
    file += "[[models]]\nname = \"m\"\n";
    for (name, priority, weight, more) in routes {
        file +=
            &format!("[[models.routes]]\nendpoint = \"{name}\"\npriority = {priority}\nweight = {weight}\n{more}\n");
    }
    let catalog = Catalog::build(&Config::parse(&file, &BTreeMap::new()).unwrap(), Arc::default()).unwrap();
    (catalog.find("m", Format::Anthropic).unwrap(), Health::new(catalog.health_specs()))
}

fn ask(client: &str) -> Ask<'_> {
    Ask { client, user: "", format: Format::Anthropic, needs: Needs::default(), held: None, home: None }
}

/// The names of those in the line, in order.
fn names(listed: &Listed, ask: &Ask<'_>, health: &Health) -> Vec<String> {
    let line = line(listed, ask, health, Instant::now());
    line.fit.iter().map(|place| listed.candidates[*place].target.endpoint.clone()).collect()
}

fn id(listed: &Listed, name: &str) -> usize {
    listed.candidates.iter().find(|one| one.target.endpoint == name).unwrap().target.id
}

fn seed(listed: &Listed, name: &str) -> u64 {
    listed.candidates.iter().find(|one| one.target.endpoint == name).unwrap().seed
}

fn judge(health: &Health, id: usize, is_good: bool) {
    let now = Instant::now();
    match health.admit(id, Claim::Known, now) {
        Admission::Admitted(slot) if is_good => slot.succeeded(now),
        Admission::Admitted(slot) => slot.failed(Fault::Provider, now),
        Admission::Skipped(why) => panic!("{why:?}"),
    }
}

const THREE: &[(&str, i32, u32, &str)] = &[("a", 1, 1, ""), ("b", 1, 1, ""), ("c", 2, 1, "")];

#[test]
fn priority_comes_first_then_the_holder_then_health_then_the_draw() {
    let (listed, health) = model(THREE);
    let drawn = names(&listed, &ask("team"), &health);
    assert_eq!(drawn[2], "c");
    let (first, second) = (drawn[0].as_str(), drawn[1].as_str());

    let held = Ask { held: Some(seed(&listed, second)), ..ask("team") };
    assert_eq!(names(&listed, &held, &health), [second, first, "c"]);
    let elsewhere = Ask { held: Some(seed(&listed, "c")), ..ask("team") };
    assert_eq!(names(&listed, &elsewhere, &health), drawn, "a stand-in of another priority is no reason to stay");

    // A fifth of its answers fail: it is spared, but for those who have their prompts there.
    let strained = id(&listed, first);
    [true, true, true, true, false].into_iter().for_each(|is_good| judge(&health, strained, is_good));
    assert_eq!(names(&listed, &ask("team"), &health), [second, first, "c"]);
    let held = Ask { held: Some(seed(&listed, first)), ..ask("team") };
    assert_eq!(names(&listed, &held, &health), drawn);
    let later = Instant::now() + Duration::from_secs(61);
    assert_eq!(health.standing(strained, later), Standing::Well, "it gets another chance");
    (0..5).for_each(|_| judge(&health, strained, true));
    assert_eq!(names(&listed, &ask("team"), &health), drawn);
}

#[test]
fn who_is_shut_stands_in_its_place_unless_it_would_keep_others_out() {
    let (listed, health) = model(THREE);
    let drawn = names(&listed, &ask("team"), &health);
    (0..5).for_each(|_| judge(&health, id(&listed, &drawn[0]), false));
    assert_eq!(names(&listed, &ask("team"), &health), drawn);

    let many: Vec<String> = (0..40).map(|at| format!("e{at}")).collect();
    let routes: Vec<_> = many.iter().map(|name| (name.as_str(), 1, 1, "")).collect();
    let (listed, health) = model(&routes);
    let before = names(&listed, &ask("team"), &health);
    assert_eq!(before.len(), CANDIDATES_MAX);
    before.iter().for_each(|name| (0..5).for_each(|_| judge(&health, id(&listed, name), false)));
    let after = names(&listed, &ask("team"), &health);
    assert!(after.len() == CANDIDATES_MAX && after.iter().all(|name| !before.contains(name)), "{after:?}");
}

#[test]
fn who_cannot_do_it_is_left_out_with_the_reason() {
    let (listed, health) = model(&[
        ("plain", 1, 1, "capabilities = []"),
        ("long", 2, 1, "capabilities = [\"context_1m\"]"),
        ("hour", 3, 1, "capabilities = [\"cache_1h\"]"),
        ("any", 4, 1, ""),
    ]);
    let left_out = |needs: Needs| {
        let line = line(&listed, &Ask { needs, ..ask("team") }, &health, Instant::now());
        let name = |place: usize| listed.candidates[place].target.endpoint.as_str();
        let unfit: Vec<_> = line.unfit.iter().map(|(place, unfit)| (name(*place), unfit.as_str())).collect();
        (line.fit.iter().map(|place| name(*place)).collect::<Vec<_>>(), unfit)
    };
    let none = Needs::default();
    assert_eq!(left_out(none), (vec!["plain", "long", "any"], vec![("hour", "kept_for_cache_1h")]));
    let long = none.with(Capability::Context1m, true);
    let lack = "lacks_context_1m";
    assert_eq!(left_out(long), (vec!["long", "any"], vec![("plain", lack), ("hour", lack)]));
    let hour = none.with(Capability::Cache1h, true);
    let lack = "lacks_cache_1h";
    assert_eq!(left_out(hour), (vec!["hour", "any"], vec![("plain", lack), ("long", lack)]));
    let gemini = Ask { format: Format::Gemini, ..ask("team") };
    assert_eq!(line(&listed, &gemini, &health, Instant::now()), Line::default(), "another dialect is no candidate");
}

#[test]
fn who_keeps_the_response_before_comes_first_of_all_and_nobody_else_moves() {
    let (listed, health) = model(THREE);
    let drawn = names(&listed, &ask("team"), &health);
    let (first, second) = (drawn[0].as_str(), drawn[1].as_str());
    let account = |name: &str| affinity([name, ""]);
    let home = |name: &str| Ask { home: Some(account(name)), ..ask("team") };
    assert_eq!(names(&listed, &home("c"), &health), ["c", first, second], "whatever its priority");
    assert_eq!(names(&listed, &home(second), &health), [second, first, "c"]);
    assert_eq!(names(&listed, &home("gone"), &health), drawn);
    // Not where the prompt is cached: the response is nowhere else.
    let held = Ask { held: Some(seed(&listed, first)), ..home("c") };
    assert_eq!(names(&listed, &held, &health), ["c", first, second]);

    let many: Vec<String> = (0..40).map(|at| format!("e{at}")).collect();
    let routes: Vec<_> =
        many.iter().enumerate().map(|(at, name)| (name.as_str(), i32::try_from(at).unwrap(), 1, "")).collect();
    let (listed, health) = model(&routes);
    let line = names(&listed, &home("e39"), &health);
    assert_eq!((line.len(), line[0].as_str(), line[1].as_str()), (CANDIDATES_MAX, "e39", "e0"));

    let (listed, health) = model(&[("plain", 1, 1, "capabilities = []"), ("any", 2, 1, "")]);
    let needs = Needs::default().with(Capability::Context1m, true);
    assert_eq!(names(&listed, &Ask { needs, ..home("plain") }, &health), ["any"], "not if it cannot do it");
}

/// A model with so many endpoints of each format, each with so many keys, the first formats with the worst priorities.
fn polyglot(endpoints: usize, keys: usize) -> Arc<Listed> {
    let (mut file, mut routes) = (String::new(), "[[models]]\nname = \"m\"\n".to_owned());
    for (at, format) in Format::ALL.iter().enumerate() {
        for endpoint in 0..endpoints {
            let (name, priority) = (format!("{format}-{endpoint}"), 10 - at);
            file += &format!(
                "[[providers]]\nname = \"{name}\"\n[[providers.endpoints]]\nname = \"{name}\"\nformat = \"{format}\"\n\
                 base_url = \"http://127.0.0.1:9\"\n"
            );
            for key in 0..keys {
                file += &format!("[[providers.endpoints.keys]]\nname = \"{key}\"\nsecret = {{ plain = \"s{key}\" }}\n");
            }
            routes += &format!("[[models.routes]]\nendpoint = \"{name}\"\npriority = {priority}\n");
        }
    }
    let config = Config::parse(&(file + &routes), &BTreeMap::new()).unwrap();
    Catalog::build(&config, Arc::default()).unwrap().find("m", Format::Anthropic).unwrap()
}

#[test]
fn who_speaks_another_format_is_known_beforehand_once_and_within_bounds() {
    let listed = polyglot(1, 3);
    let health = Health::new([]);
    for format in Format::ALL {
        let line = line(&listed, &Ask { format: *format, ..ask("team") }, &health, Instant::now());
        let speaks = |place: &usize| listed.candidates[*place].target.format == *format;
        assert!(line.fit.len() == 3 && line.fit.iter().all(speaks) && line.unfit.is_empty(), "{format}: {line:?}");
        let others: Vec<Format> = listed.others(*format).map(|candidate| candidate.target.format).collect();
        let mut expected: Vec<Format> = Format::ALL.iter().copied().filter(|other| other != format).collect();
        expected.reverse();
        assert_eq!(others, expected, "one for all its keys, the best priority first");
    }
    assert_eq!(polyglot(30, 1).others(Format::Gemini).count(), CANDIDATES_MAX);
}

/// How many of 10,000 clients draw the lowest number at each of the weights.
fn shares(weights: &[f64]) -> Vec<usize> {
    let mut shares = vec![0; weights.len()];
    for client in 0..10_000 {
        let name = format!("client-{client}");
        let drawn = |at: &usize| draw(affinity([format!("key-{at}").as_str()]), weights[*at], affinity([&*name]));
        let first = (0..weights.len()).min_by(|a, b| drawn(a).total_cmp(&drawn(b))).unwrap();
        shares[first] += 1;
    }
    shares
}

#[test]
fn load_is_shared_by_weight() {
    let shares = shares(&[1.0, 3.0, 6.0, 0.0]);
    for (share, expected) in shares.iter().zip([1000, 3000, 6000, 0]) {
        assert!(share.abs_diff(expected) <= 200, "{shares:?}");
    }
}

#[test]
fn a_client_stays_and_moves_only_with_its_candidate() {
    let seeds: Vec<u64> = (0..5).map(|at| affinity([format!("key-{at}").as_str()])).collect();
    let order = |seeds: &[u64], client: u64| {
        let mut order = seeds.to_vec();
        order.sort_by_cached_key(|seed| draw(*seed, 1.0, client).to_bits());
        order
    };
    for client in 0..200 {
        let client = affinity([format!("client-{client}").as_str()]);
        let all = order(&seeds, client);
        assert_eq!(all, order(&seeds, client));
        // One candidate less: the others keep their order.
        let rest: Vec<u64> = seeds.iter().copied().filter(|seed| *seed != all[0]).collect();
        assert_eq!(order(&rest, client), all[1..]);
    }
}

#[test]
fn names_do_not_run_together() {
    assert_ne!(affinity(["ab", "c"]), affinity(["a", "bc"]));
    assert_ne!(affinity(["ab"]), affinity(["ab", ""]));
}
