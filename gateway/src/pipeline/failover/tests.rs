//! The schedule against scripted faults, with time told to it: no waiting, no chance.

use std::time::{Duration, Instant};

use super::schedule::Schedule;
use crate::catalog::Candidate;
use crate::classify::{Reason, Verdict};

/// The candidates of the model `m`, as a file with these routes gives them: endpoint, retries, upstream model.
fn candidates(routes: &[(&str, u8, &str)]) -> Vec<Candidate> {
    let mut file = String::from("[gateway]\n[recorder]\n[analytics]\n[nats]\n[clickhouse]\n");
    let mut names: Vec<(&str, u8)> = routes.iter().map(|(name, retries, _)| (*name, *retries)).collect();
    names.dedup();
    for (name, retries) in names {
        file += &format!(
            "[[providers]]\nname = \"{name}\"\n[[providers.endpoints]]\nname = \"{name}\"\nformat = \"openai_chat\"\n\
             base_url = \"http://127.0.0.1:9\"\nmax_retries = {retries}\n"
        );
    }
    file += "[[models]]\nname = \"m\"\n";
    for (at, (name, _, model)) in routes.iter().enumerate() {
        file += &format!("[[models.routes]]\nendpoint = \"{name}\"\nmodel = \"{model}\"\npriority = {at}\n");
    }
    let config = schemas::config::Config::parse(&file, &std::collections::BTreeMap::new()).unwrap();
    let catalog = crate::catalog::Catalog::build(&config, std::sync::Arc::default()).unwrap();
    let listed = catalog.find("m", schemas::outcome::Format::OpenaiChat).unwrap();
    listed.candidates.clone()
}

/// Plays a request: `answer` says what becomes of each try (`None`: it succeeds). Returns who was asked and when, in
/// milliseconds.
fn play(
    routes: &[(&str, u8, &str)],
    mut answer: impl FnMut(&str, usize) -> Option<(Verdict, Option<Duration>)>,
) -> Vec<(usize, u128)> {
    let candidates = candidates(routes);
    let start = Instant::now();
    let mut schedule = Schedule::new(candidates.iter(), start + Duration::from_secs(600), 7);
    let (mut now, mut asked) = (start, Vec::new());
    while let Some(turn) = schedule.next(now) {
        now = turn.at.max(now);
        schedule.begun(turn, now);
        asked.push((turn.index, now.duration_since(start).as_millis()));
        let name = routes[turn.index].0;
        let before = asked.iter().filter(|(index, _)| routes[*index].0 == name).count();
        let Some((verdict, pause)) = answer(name, before) else { break };
        schedule.failed(turn, verdict, pause, now);
        assert!(asked.len() < 100, "without end: {asked:?}");
    }
    asked
}

fn order(asked: &[(usize, u128)]) -> Vec<usize> {
    asked.iter().map(|(index, _)| *index).collect()
}

const FAILED: Verdict = Verdict::RetryHere(Reason::ServerError);
const LIMITED: Verdict = Verdict::TryNext(Reason::RateLimited);
const TWO: &[(&str, u8, &str)] = &[("a", 2, "m"), ("b", 2, "m")];
const ONE: &[(&str, u8, &str)] = &[("a", 2, "m")];

#[test]
fn a_passing_failure_is_asked_again_where_it_failed() {
    let asked = play(TWO, |_, nth| (nth == 1).then_some((FAILED, None)));
    assert_eq!(order(&asked), [0, 0]);
    assert!((125..=250).contains(&asked[1].1), "{asked:?}");
}

#[test]
fn a_lasting_failure_leaves_after_one_retry_for_the_next() {
    let asked = play(TWO, |name, _| (name == "a").then_some((FAILED, None)));
    assert_eq!(order(&asked), [0, 0, 1]);
    assert!(asked[2].1 <= 250, "{asked:?}");
}

#[test]
fn when_all_fail_the_remaining_retries_are_used_and_nobody_is_hammered() {
    for routes in [ONE, TWO, &[("a", 9, "m")], &[("a", 9, "m"), ("b", 9, "m"), ("c", 9, "m")]] {
        let asked = play(routes, |_, _| Some((FAILED, None)));
        let retries: usize = routes.iter().map(|(_, retries, _)| usize::from(*retries)).sum();
        assert_eq!(asked.len(), routes.len() + retries.min(5), "{asked:?}");
        for index in 0..routes.len() {
            let times: Vec<u128> = asked.iter().filter(|(at, _)| *at == index).map(|(_, ms)| *ms).collect();
            assert!(times.len() <= 6, "{asked:?}");
            assert!(times.windows(3).all(|three| three[2] - three[0] >= 1500), "hammered: {asked:?}");
        }
    }
}

#[test]
fn no_retries_means_none() {
    let asked = play(&[("a", 0, "m"), ("b", 0, "m")], |_, _| Some((FAILED, None)));
    assert_eq!(order(&asked), [0, 1]);
}

#[test]
fn a_rate_limit_is_left_at_once_where_somebody_else_can_answer() {
    let asked = play(TWO, |name, _| (name == "a").then_some((LIMITED, Some(Duration::from_secs(2)))));
    assert_eq!(asked, [(0, 0), (1, 0)]);
}

#[test]
fn a_short_retry_after_is_waited_for_where_nobody_else_can() {
    let asked = play(ONE, |_, nth| (nth == 1).then_some((LIMITED, Some(Duration::from_secs(2)))));
    assert_eq!(asked, [(0, 0), (0, 2000)]);
    let asked = play(ONE, |_, _| Some((LIMITED, Some(Duration::from_secs(60)))));
    assert_eq!(order(&asked), [0], "a minute is too long to be kept waiting");
}

#[test]
fn a_rate_limit_without_a_word_is_backed_off_from() {
    let asked = play(ONE, |_, _| Some((LIMITED, None)));
    assert_eq!(order(&asked), [0, 0, 0]);
    assert!(asked[1].1 >= 500 && asked[2].1 - asked[1].1 > asked[1].1 / 2, "{asked:?}");
}

#[test]
fn who_is_silent_is_not_asked_again_while_there_is_another() {
    let silent = |name: &str, _| (name == "a").then_some((Verdict::TryNext(Reason::Silent), None));
    assert_eq!(order(&play(TWO, silent)), [0, 1]);
    assert_eq!(order(&play(ONE, silent)).len(), 3);
    // Two models at the silent endpoint: the other endpoint comes first, whatever its priority.
    assert_eq!(order(&play(&[("a", 0, "m"), ("a", 0, "n"), ("b", 0, "m")], silent)), [0, 2]);
}

#[test]
fn who_could_answer_elsewhere_is_who_may_still_be_asked_there() {
    let candidates = candidates(&[("a", 1, "m"), ("a", 1, "n"), ("b", 0, "m")]);
    let start = Instant::now();
    let mut schedule = Schedule::new(candidates.iter(), start + Duration::from_secs(60), 7);
    let elsewhere = |schedule: &Schedule<'_>, turn| {
        schedule.elsewhere(turn).map(|other| other.target.endpoint.clone()).collect::<Vec<_>>()
    };
    let first = schedule.next(start).unwrap();
    assert_eq!(elsewhere(&schedule, first), ["b"], "another model at the same endpoint is nowhere else");
    schedule.begun(first, start);
    schedule.failed(first, Verdict::TryNext(Reason::Silent), None, start);
    let other = schedule.next(start).unwrap();
    assert_eq!((other.index, elsewhere(&schedule, other)), (2, vec![]), "the silent one is no hope");
    schedule.begun(other, start);
    schedule.failed(other, Verdict::TryNext(Reason::NotServedHere), None, start);
    let last = schedule.next(start).unwrap();
    assert_eq!((last.index, elsewhere(&schedule, last)), (1, vec![]), "who has failed for good will not answer");
}

#[test]
fn a_refused_key_is_not_asked_for_another_model() {
    let refused = |name: &str, _| (name == "a").then_some((Verdict::TryNext(Reason::KeyRefused), None));
    assert_eq!(order(&play(&[("a", 2, "m"), ("a", 2, "n"), ("b", 2, "m")], refused)), [0, 2]);
}

#[test]
fn the_callers_mistakes_stop_and_too_long_a_prompt_tries_another_model() {
    let wrong = |_: &str, _| Some((Verdict::CallerAtFault(Reason::InvalidRequest), None));
    assert_eq!(order(&play(TWO, wrong)), [0]);
    let too_long = |_: &str, _| Some((Verdict::CallerAtFault(Reason::ContextLength), None));
    assert_eq!(order(&play(TWO, too_long)), [0]);
    assert_eq!(order(&play(&[("a", 2, "m"), ("b", 2, "m"), ("b", 2, "large")], too_long)), [0, 2]);
}

#[test]
fn what_one_does_not_support_the_next_may() {
    let other = |_: &str, _| Some((Verdict::TryNext(Reason::Incompatible), None));
    assert_eq!(order(&play(TWO, other)), [0, 1]);
}

#[test]
fn nothing_begins_after_the_deadline() {
    let candidates = candidates(ONE);
    let start = Instant::now();
    let mut schedule = Schedule::new(candidates.iter(), start + Duration::from_secs(1), 7);
    let turn = schedule.next(start).unwrap();
    schedule.begun(turn, start);
    schedule.failed(turn, LIMITED, Some(Duration::from_secs(2)), start);
    assert_eq!(schedule.next(start), None);
}

#[test]
fn who_was_skipped_is_looked_at_once_more_if_nobody_else_answers() {
    let candidates = candidates(TWO);
    let start = Instant::now();
    let mut schedule = Schedule::new(candidates.iter(), start + Duration::from_secs(60), 7);
    let turn = schedule.next(start).unwrap();
    assert!(schedule.skipped(turn, Some(start + Duration::from_secs(3)), start));
    let other = schedule.next(start).unwrap();
    assert_eq!((other.index, other.at), (1, start));
    assert!(schedule.skipped(other, None, start));
    let again = schedule.next(start).unwrap();
    assert_eq!(again.index, 0);
    let waited_ms = again.at.duration_since(start).as_millis();
    assert!((3000..=4000).contains(&waited_ms), "not before its time, nor all at once: {waited_ms}");
    assert!(!schedule.skipped(again, Some(start + Duration::from_secs(9)), start), "no news");
    assert_eq!(schedule.next(start), None);
}

#[test]
fn who_keeps_its_last_slots_for_others_is_asked_at_once_where_nobody_else_is_left() {
    let candidates = candidates(TWO);
    let start = Instant::now();
    let mut schedule = Schedule::new(candidates.iter(), start + Duration::from_secs(60), 7);
    let turn = schedule.next(start).unwrap();
    schedule.skipped(turn, Some(start), start);
    let other = schedule.next(start).unwrap();
    assert_eq!(other.index, 1);
    schedule.skipped(other, None, start);
    let again = schedule.next(start).unwrap();
    assert_eq!((again.index, again.attempt, again.at), (0, 1, start));
}

#[test]
fn retries_of_many_requests_are_spread() {
    let candidates = candidates(ONE);
    let start = Instant::now();
    let retry_at = |random: u64| {
        let mut schedule = Schedule::new(candidates.iter(), start + Duration::from_secs(60), random);
        let turn = schedule.next(start).unwrap();
        schedule.begun(turn, start);
        schedule.failed(turn, FAILED, None, start);
        schedule.next(start).unwrap().at.duration_since(start).as_millis()
    };
    let mut times: Vec<u128> = (0..100_u64).map(|n| retry_at(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    times.sort_unstable();
    assert!(times[0] < 150 && times[99] > 225, "{times:?}");
}
