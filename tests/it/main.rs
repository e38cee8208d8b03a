//! The promises, each tested on real parts: sockets, NATS, ClickHouse, processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "figures that are noted and not asserted")]

/// Every recorded answer reaches the client byte for byte, and its row says what it was.
mod replay;

/// Answers pass at once, and requests go upstream as they came, but for what must be changed.
mod streaming;

/// Providers behind TLS, HTTP/2 and proxies are as good as those on a bare socket, and one that nobody vouches for is not asked.
mod upstreams;

/// Smoothing, where it is asked for, deals out long texts and changes nothing else.
mod smoothing;

/// A stream of any size, in pieces of any size, passes in bounded memory and is read right.
mod large;

/// Thousands of streams at once, and clients that do not read, stall nobody.
mod crowd;

/// What an answer costs is recorded to the last digit, also when its client has left.
mod accounting;

/// Every kind of token, tier, fee and multiplier, in every format, costs what was worked out by hand.
mod bills;

/// What was paid for answers that nobody got is shown.
mod wasted;

/// A period can be priced again: what was recorded stays, and what differs stands beside it.
mod repricing;

/// Where the provider reports no usage, an estimate stands in its place and says that it is one.
mod estimate;

/// A caller gets an answer whenever anybody can give one, nobody is hammered, and every try has its row.
mod failover;

/// Running gateways know what any of them has learned, and need nobody to work alone.
mod peers;

/// Several gateways with the same keys spare a sick one together.
mod fleet;

/// An answer that breaks is recorded as broken, and never looks complete.
mod interruption;

/// What is refused is refused in the caller's dialect, once recorded, and no secret leaves its place.
mod rejection;

/// What a client may use is held exactly, told in its dialect, and shared between gateways that need not hear each other.
mod limits;

/// A budget is held by all gateways together, to a bound that is stated, and outlives any of them.
mod budgets;

/// Bodies are kept where that is asked for: once, redacted, cut, and what no client got as well.
mod capture;

/// A wrong configuration is told whole before anything starts.
mod config;

/// A running gateway takes over a changed configuration whole or not at all, and no running answer notices.
mod reload;

/// NATS and ClickHouse may go away under load: no client notices, and no request is lost or counted twice.
mod outage;

/// Several recorders share the partitions, follow each other when one ends, dies or freezes, and write nothing twice.
mod recorders;

/// A gateway may be stopped or killed at any moment: every request still ends in exactly one row.
mod shutdown;

/// What is lost with a process or a store comes again: open streams of a killed gateway, and a backlog that NATS forgot.
mod killed;

/// What ClickHouse has lost with a part that it cannot read is recorded anew, and told where that cannot be.
mod damaged;

/// A full disk of ClickHouse stops what writes there, and is over when there is room again.
mod full_disk;

/// What cannot be stored is kept with its reason, event by event, and is stored once when it can be.
mod dead_letters;

/// Nothing is lost and nothing counted twice, whatever is killed, stopped, wiped or full.
mod chaos;

/// Analytics answers what ClickHouse holds.
mod analytics;

/// While the recorder makes the tables, questions are put off and none is called a fault.
mod migrating;

/// Requests are told as they end, to everybody who listens, and no slow listener costs anybody anything.
mod live;

/// The dashboard is whole, small and guarded, and a person finds in it what the API says.
mod dashboard;

/// The API's document is valid, and nothing that is sent to the API contradicts it.
mod openapi;

/// Rollups, rows and answers agree to the last digit, whatever came late, came twice or was priced again.
mod rollups;

/// Whatever is asked, rollups and rows give one answer.
mod equivalence;

/// What is measured is complete, or it is told what to wait for.
mod measuring;

/// A real Prometheus scrapes the services, and every dashboard's and alert's query has an answer.
mod prometheus;

/// What analysts are given works: every query of their page and of the ClickHouse dashboard.
mod analysts;

/// The audit tells what is stored, on its way, missing and unknown, and never calls clean what it cannot know.
mod audit;

/// The vendors' own clients work, and count what the bill counts.
mod sdk;

/// Whether to test with the full sizes, which take minutes, instead of those for two cores and the debug profile.
fn full_sizes() -> bool {
    std::env::var_os("WEIR_TEST_FULL_SIZES").is_some_and(|value| value == "1")
}
