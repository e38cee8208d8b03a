//! The harness: real parts for the promises in `it/`.
//!
//! Real NATS servers and ClickHouse engines as child processes, the services in this process or as the built binaries,
//! and providers that answer exactly as a test says. Nothing here asserts how Weir behaves; a part that does not come up
//! fails the test that asked for it. Whatever is started ends with the test, also when the test process is killed.
#![expect(clippy::expect_used, clippy::panic, reason = "a harness reports by failing the test that uses it")]

pub mod eventually;
pub mod ports;
pub mod process;
pub mod binaries;
pub mod python;

pub mod broker;
pub mod warehouse;
pub mod provider;
pub mod answers;
pub mod between;
pub mod corpus;

mod disk;
pub mod configuration;
pub mod services;
pub mod stack;
pub mod caller;
pub mod load;
pub mod prometheus;

pub use eventually::eventually;

/// Says that a test was not made, and why. Nobody sees what a passed test prints, so it goes past the capture.
fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
