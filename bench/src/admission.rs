//! `bench admission`: what it takes to let a request in, with the limits of ten thousand clients and without any.
//!
//! What is timed is a gateway's own way: the key is recognised, the request counted with an estimate, and settled with the
//! truth. Nothing is sent. The variants take turns within a round, so that what slows the machine slows all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use gateway::clients::Clients;
use gateway::limits::{Ask, Limits, Truth};
use schemas::config::{Client, Config};
use schemas::money::Pico;
use schemas::time::Timestamp;

use crate::error::Error;
use crate::figures::median;

/// How many clients there are, and how long is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Clients in the configuration.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Rounds; the figures are medians over them.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds for each variant in a round.
    #[arg(long, default_value_t = 200)]
    window_ms: u64,
    /// Threads at once, all letting in requests of all clients.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// What clients are limited by.
const VARIANTS: [(&str, &str); 4] = [
    ("no limits", ""),
    ("requests, tokens, concurrency", RATES),
    ("and a budget", "budget = { usd = \"1000000\", per = \"month\" }"),
    ("and a limit for each user", "user_requests_per_minute = 1000000000"),
];
const RATES: &str = "requests_per_minute = 1000000000\ntokens_per_minute = 1000000000000\nmax_concurrent = 1000000000";

/// A gateway's clients, ready to let requests in.
struct Gate {
    name: &'static str,
    clients: Clients,
    limits: Limits,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), Error> {
    let (gates, keys) = (gates(options.clients)?, keys(options.clients));
    let mut table = format!(
        "| admission and settling, {} clients | 1 thread, ns | ratio | {} threads, ns | ratio |\n|---|---:|---:|---:|---:|\n",
        options.clients, options.threads
    );
    let alone = measured(&gates, &keys, options, 1);
    let together = measured(&gates, &keys, options, options.threads);
    for (at, gate) in gates.iter().enumerate() {
        let cells = |samples: &[Vec<f64>]| {
            let of = |at: usize| samples.iter().filter_map(move |round| round.get(at).copied());
            let ratio = median(of(at).zip(of(0)).map(|(this, none)| this / none)).unwrap_or(f64::NAN);
            (median(of(at)).unwrap_or(f64::NAN), ratio)
        };
        let ((alone_ns, alone_ratio), (together_ns, together_ratio)) = (cells(&alone), cells(&together));
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            table,
            "| {} | {alone_ns:.0} | {alone_ratio:.2} | {together_ns:.0} | {together_ratio:.2} |",
            gate.name
        );
    }
    std::io::stdout().write_all(table.as_bytes()).map_err(Error::io("printing the table"))
}

/// Nanoseconds a request, of every variant in every round.
fn measured(gates: &[Gate], keys: &[String], options: &Options, threads: usize) -> Vec<Vec<f64>> {
    let window = Duration::from_millis(options.window_ms);
    let round = |_| gates.iter().map(|gate| nanoseconds(gate, keys, window, threads)).collect();
    (0..options.rounds).map(round).collect()
}

fn nanoseconds(gate: &Gate, keys: &[String], window: Duration, threads: usize) -> f64 {
    let rates: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|from| scope.spawn(move || one_thread(gate, keys, window, from))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    1e9 / mean
}

/// Requests a second that one thread lets in.
fn one_thread(gate: &Gate, keys: &[String], window: Duration, from: usize) -> f64 {
    const BATCH: usize = 64;
    let (begin, mut count) = (Instant::now(), 0_usize);
    while begin.elapsed() < window {
        for _ in 0..BATCH {
            // Far from one another, so that no two threads follow the same path through memory.
            let at = (count + from * 31_337).wrapping_mul(7_919) % keys.len();
            black_box(let_in(gate, keys.get(at).map_or("", String::as_str)));
            count += 1;
        }
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

fn let_in(gate: &Gate, key: &str) -> bool {
    let Some(caller) = gate.clients.recognise(key) else { return false };
    let ask =
        Ask { user: "user-1", input_tokens: 1_000, output_tokens: 1_000, most_cost: Pico(1_000_000), is_free: false };
    let Ok(hold) = gate.limits.admit(caller.id, &ask, Timestamp::now()) else { return false };
    if let Some(hold) = hold {
        hold.settle(Truth { tokens: Some(900), output: Some(100), cost: Some(Pico(1_000)) }, Timestamp::now());
    }
    true
}

/// Each variant has the limits of the ones before, too.
fn gates(count: usize) -> Result<Vec<Gate>, Error> {
    let mut lines = String::new();
    let mut gates = Vec::new();
    for (name, further) in VARIANTS {
        lines = format!("{lines}{further}\n");
        let clients = configured(count, &lines)?;
        let known = Clients::build(&clients).map_err(|mistakes| Error::Setup(mistakes.to_string()))?;
        gates.push(Gate { name, limits: Limits::new(&clients), clients: known });
    }
    Ok(gates)
}

fn configured(count: usize, lines: &str) -> Result<Vec<Client>, Error> {
    let client =
        |key: &String| format!("[[clients]]\nname = \"client-{key}\"\nkey = {{ plain = \"{key}\" }}\n{lines}\n");
    let text: String = keys(count).iter().map(client).collect();
    let config = Config::parse(&text, &BTreeMap::new()).map_err(|mistakes| Error::Setup(mistakes.to_string()))?;
    Ok(config.clients)
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("weir-key-of-client-{number:06}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_lets_everybody_in_and_nobody_else() {
        for gate in gates(3).unwrap() {
            assert!(keys(3).iter().all(|key| let_in(&gate, key)), "{}", gate.name);
            assert!(!let_in(&gate, "somebody else"), "{}", gate.name);
        }
    }
}
