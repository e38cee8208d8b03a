//! Rules of this repository, as tests: a rule that nobody runs is not one.
//!
//! A rule is a pure function from text to findings, tested on small bad inputs beside it, and then run over the workspace.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod source;
mod finding;

mod size;
mod shape;
mod direction;
mod manifests;
mod licences;
mod prices;
mod examples;
mod vendored;
mod dashboards;
