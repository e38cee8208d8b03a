//! The ledger's protocol under every order of faults: the gateway's packer, healing and trimming and the recorder's
//! leases and recording machines, the very code that runs in production, over a NATS and a ClickHouse that lose, repeat,
//! reorder and forget. A run is made by a seed alone and takes milliseconds, so thousands are made.
//!
//! `WEIR_SIMULATION=<seed>[:<steps>:<chances>]` repeats one run; `WEIR_SIMULATION_RUNS=<n>` makes more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "figures that are noted and not asserted")]

mod clickhouse;
mod gateway;
mod nats;
mod recorder;
mod rng;
mod run;
mod sabotage;

use std::time::Instant;

use self::run::{Plan, Tally, run};
use self::sabotage::{ALL, Sabotage};

/// Runs of a usual test.
const RUNS: u64 = 600;
/// A planted fault must be found within so many, from the seed on that has found it before.
const SABOTAGED_RUNS: u64 = 3_000;

#[test]
fn whatever_fails_everything_appended_is_stored_once() {
    if let Ok(named) = std::env::var("WEIR_SIMULATION") {
        let plan = Plan::parse(&named).expect("WEIR_SIMULATION is <seed>[:<steps>:<chances>]");
        let tally = run(plan, Sabotage::None).unwrap_or_else(|broken| panic!("{plan}: {broken}"));
        println!("{plan}: {tally:?}");
        return;
    }
    let runs = std::env::var("WEIR_SIMULATION_RUNS").ok().map_or(RUNS, |runs| runs.parse().expect("a number"));
    let (started, mut total) = (Instant::now(), Tally::default());
    for seed in 0..runs {
        match run(Plan::of_seed(seed), Sabotage::None) {
            Ok(tally) => {
                total.steps += tally.steps;
                total.events += tally.events;
                total.faults += tally.faults;
            }
            Err(broken) => {
                let (plan, broken) = shrunk(Plan::of_seed(seed), broken, Sabotage::None);
                panic!("{broken}\nrepeat it with WEIR_SIMULATION={plan}");
            }
        }
    }
    println!("{runs} runs, {total:?}, {:?}", started.elapsed());
}

#[test]
fn planted_faults_are_found() {
    let mut unfound = Vec::new();
    for (sabotage, first) in ALL {
        let started = Instant::now();
        // Half of the runs have everything go wrong that can.
        let plan = |seed: u64| match seed % 2 {
            0 => Plan { chances: u16::MAX, ..Plan::of_seed(seed) },
            _ => Plan::of_seed(seed),
        };
        let found = (first..first + SABOTAGED_RUNS).find_map(|seed| Some((seed, run(plan(seed), sabotage).err()?)));
        match found {
            Some((seed, broken)) => {
                println!("{sabotage:?}: found by seed {seed} ({:?}): {broken}", started.elapsed());
            }
            None => unfound.push(sabotage),
        }
    }
    assert!(unfound.is_empty(), "not found within {SABOTAGED_RUNS} runs: {unfound:?}");
}

/// The smallest run that still breaks the promise: fewer chances of faults, then fewer steps.
fn shrunk(mut plan: Plan, mut broken: String, sabotage: Sabotage) -> (Plan, String) {
    let mut smaller = true;
    while smaller {
        smaller = false;
        let fewer_chances = (0..u16::BITS).map(|bit| Plan { chances: plan.chances & !(1 << bit), ..plan });
        let fewer_steps = [2, 4, 8, 16].map(|part| Plan { steps: plan.steps - plan.steps / part, ..plan });
        for candidate in fewer_chances.chain(fewer_steps).filter(|candidate| *candidate != plan).collect::<Vec<_>>() {
            if let Err(still) = run(candidate, sabotage) {
                (plan, broken, smaller) = (candidate, still, true);
                break;
            }
        }
    }
    (plan, broken)
}
