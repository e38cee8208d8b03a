//! Recorders that share partitions: quickly, fairly, and without taking anything from each other by mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::*;

const LEASE: Duration = Duration::from_secs(8);

/// Recorders over one board, with a clock of the test's.
struct Table {
    board: Board,
    now: Instant,
    keepers: BTreeMap<String, (Keeper, BTreeSet<u16>)>,
    partitions: u16,
}

impl Table {
    fn new(partitions: u16) -> Self {
        Self { board: Board::default(), now: Instant::now(), keepers: BTreeMap::new(), partitions }
    }

    fn join(&mut self, name: &str) {
        let keeper = Keeper::new(name.to_owned(), self.partitions, Times::of(LEASE));
        self.keepers.insert(name.to_owned(), (keeper, BTreeSet::new()));
    }

    fn beat(&mut self, name: &str) {
        let (keeper, idle) = self.keepers.get_mut(name).unwrap();
        keeper.look(&self.board, self.now);
        let next = keeper.propose(&self.board, idle, self.now);
        keeper.written(&self.board, &next, self.now);
        self.board = next;
        // The workers let go at once of what is leaving.
        *idle = keeper.held().filter(|(_, _, leaving)| *leaving).map(|(partition, _, _)| partition).collect();
    }

    /// Everybody beats for so many seconds.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            for name in self.keepers.keys().cloned().collect::<Vec<_>>() {
                self.beat(&name);
            }
        }
    }

    fn held(&self, name: &str) -> Vec<u16> {
        self.keepers[name].0.held().map(|(partition, _, _)| partition).collect()
    }

    fn counts(&self) -> Vec<usize> {
        self.keepers.keys().map(|name| self.held(name).len()).collect()
    }
}

#[test]
fn one_alone_takes_everything_at_once() {
    let mut table = Table::new(3);
    table.join("a");
    table.beat("a");
    assert_eq!(table.held("a"), [0, 1, 2]);
}

#[test]
fn partitions_are_shared_evenly_and_nothing_moves_without_need() {
    let mut table = Table::new(5);
    table.join("b");
    table.pass(5);
    table.join("a");
    table.pass(5);
    assert_eq!(table.counts(), [2, 3], "who had more has the odd one");
    let (before, fences) = (table.board.leases.clone(), table.board.clone());
    table.pass(60);
    assert_eq!(table.board.leases, before, "from {fences:?}");
    table.join("c");
    table.pass(6);
    assert_eq!(table.counts(), [2, 2, 1]);
    table.join("d");
    table.join("e");
    table.join("f");
    table.pass(9);
    assert_eq!(table.counts(), [1, 1, 1, 1, 1, 0]);
}

#[test]
fn one_that_dies_right_after_its_start_moves_nothing() {
    let mut table = Table::new(4);
    table.join("a");
    table.pass(5);
    table.join("b");
    table.pass(2);
    table.keepers.remove("b");
    table.pass(20);
    assert_eq!(table.held("a"), [0, 1, 2, 3]);
    assert!(table.board.leases.values().all(|lease| lease.fence == 1), "{:?}", table.board);
}

#[test]
fn a_dead_one_is_followed_after_the_lease_and_not_before_and_with_a_higher_fence() {
    let mut table = Table::new(2);
    table.join("a");
    table.pass(3);
    table.join("b");
    table.keepers.remove("a");
    table.pass(8);
    assert!(table.held("b").is_empty());
    table.pass(1);
    assert_eq!(table.held("b"), [0, 1]);
    assert!(table.board.leases.values().all(|lease| lease.fence == 2));
    assert_eq!(table.keepers["b"].0.takeovers(), 2);
    assert!(!table.board.members.contains_key("a"));
}

#[test]
fn one_that_ends_in_order_is_followed_at_once() {
    let mut table = Table::new(2);
    table.join("a");
    table.pass(3);
    table.join("b");
    table.pass(1);
    let (keeper, _) = table.keepers.remove("a").unwrap();
    let unfinished = keeper.farewell(&table.board, &BTreeSet::from([1]));
    assert!(unfinished.members.contains_key("a") && unfinished.leases[&0].holder.is_some());
    table.board = keeper.farewell(&table.board, &BTreeSet::from([0, 1]));
    assert!(!table.board.members.contains_key("a"));
    table.beat("b");
    assert_eq!((table.held("b"), table.keepers["b"].0.takeovers()), (vec![0, 1], 0));
}

#[test]
fn an_outage_that_nobody_could_see_through_costs_nobody_a_lease() {
    let mut table = Table::new(2);
    table.join("a");
    table.join("b");
    table.pass(10);
    assert_eq!(table.counts(), [1, 1]);
    // NATS was away for a minute, and b is the first one to look again.
    table.now += Duration::from_secs(60);
    table.beat("b");
    table.pass(5);
    assert_eq!(table.counts(), [1, 1]);
    assert!(table.board.leases.values().all(|lease| lease.fence <= 2));
}

#[test]
fn a_frozen_one_finds_its_partitions_gone() {
    let mut table = Table::new(2);
    table.join("a");
    table.pass(3);
    let frozen = table.keepers.remove("a").unwrap();
    table.join("b");
    table.pass(10);
    assert_eq!(table.held("b"), [0, 1]);
    assert!(frozen.0.valid_until().unwrap() < table.now, "it stops by its own clock");
    table.keepers.insert("a".into(), frozen);
    table.beat("a");
    assert!(table.held("a").is_empty());
    table.pass(6);
    assert_eq!(table.counts(), [1, 1]);
}

#[test]
fn a_lease_in_ones_own_name_that_one_did_not_take_is_not_used() {
    let mut table = Table::new(1);
    table.join("a");
    table.pass(2);
    let rolled_back_to = table.board.clone();
    table.join("b");
    table.keepers.remove("a");
    table.pass(10);
    assert_eq!(table.held("b"), [0]);
    // NATS comes back with the board of before: a's, who is there again under its old name, and b sees its lease gone.
    table.board = rolled_back_to;
    table.join("a");
    table.beat("a");
    table.beat("b");
    assert_eq!((table.held("a"), table.held("b")), (vec![], vec![]));
    table.pass(9);
    assert_eq!(table.counts(), [1, 0]);
}

#[test]
fn a_board_that_was_lost_leaves_each_its_own_and_a_fence_in_a_state_is_passed() {
    let mut table = Table::new(2);
    table.join("a");
    table.pass(3);
    table.board = Board::default();
    table.beat("a");
    assert_eq!(table.held("a"), [0, 1]);
    table.keepers.get_mut("a").unwrap().0.found_fence(1, 41);
    table.beat("a");
    assert_eq!(table.keepers["a"].0.held().collect::<Vec<_>>(), [(0, 1, false), (1, 42, false)]);
}
