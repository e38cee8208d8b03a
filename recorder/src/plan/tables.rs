//! Events as rows, by table and day.

use std::collections::BTreeMap;

use schemas::events::{Body, Event};
use schemas::price::{Billed, Memo};
use schemas::time::Timestamp;

use super::Origin;
use crate::rows::{BodiesRow, CandidateRow, OpenedRow, Recording, RequestRow};

/// Rows of one table by the UTC day that their partition in ClickHouse is named by.
pub type ByDay<R> = BTreeMap<u32, Cell<R>>;

/// The rows of one table and day: one insert, one token.
#[derive(Debug)]
pub struct Cell<R> {
    /// In the order of the stream.
    pub rows: Vec<R>,
    /// Where each row comes from.
    pub origins: Vec<Origin>,
}

impl<R> Default for Cell<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), origins: Vec::new() }
    }
}

/// The rows of events. When they are recorded is not known yet, nor whether all of them are.
#[derive(Debug, Default)]
pub struct Tables {
    /// Terminal events.
    pub requests: ByDay<RequestRow>,
    /// Candidate events.
    pub candidates: ByDay<CandidateRow>,
    /// Opened events.
    pub opened: ByDay<OpenedRow>,
    /// Captured bodies.
    pub bodies: ByDay<BodiesRow>,
}

impl Tables {
    /// Adds the row of an event. Returns whether its tokens are known and their price is not.
    pub fn push(&mut self, prices: &mut Memo<'_>, event: Event, origin: Origin) -> bool {
        let recording = Recording { head: event.head, recorded_at: Timestamp::default() };
        match event.body {
            Body::Terminal(receipt) => {
                let (day, priced) = (receipt.received_at.day(), prices.bill(&Billed::from(&*receipt)));
                let unpriced = priced.unpriced;
                push(&mut self.requests, day, RequestRow::new(recording, *receipt, priced), origin);
                return unpriced;
            }
            Body::Candidate(candidate) => {
                let (day, priced) = (candidate.received_at.day(), prices.bill(&Billed::from(&*candidate)));
                push(&mut self.candidates, day, CandidateRow::new(recording, *candidate, priced), origin);
            }
            Body::Opened(opened) => {
                let day = opened.received_at.day();
                push(&mut self.opened, day, OpenedRow::new(recording, *opened), origin);
            }
            Body::Bodies(bodies) => {
                let day = bodies.received_at.day();
                push(&mut self.bodies, day, BodiesRow::new(recording, *bodies), origin);
            }
        }
        false
    }

    /// Takes out the rows of some events, which are given in the order of the stream.
    pub fn remove(&mut self, events: &[Origin]) {
        if events.is_empty() {
            return;
        }
        remove(&mut self.requests, events);
        remove(&mut self.candidates, events);
        remove(&mut self.opened, events);
        remove(&mut self.bodies, events);
    }

    /// Writes into every row when it is recorded.
    pub fn record_at(&mut self, at: Timestamp) {
        let at = at.as_micros();
        self.requests.values_mut().flat_map(|cell| &mut cell.rows).for_each(|row| row.recorded_at = at);
        self.candidates.values_mut().flat_map(|cell| &mut cell.rows).for_each(|row| row.recorded_at = at);
        self.opened.values_mut().flat_map(|cell| &mut cell.rows).for_each(|row| row.recorded_at = at);
        self.bodies.values_mut().flat_map(|cell| &mut cell.rows).for_each(|row| row.recorded_at = at);
    }
}

/// Adds a row to its cell.
pub fn push<R>(cells: &mut ByDay<R>, day: u32, row: R, origin: Origin) {
    let cell = cells.entry(day).or_default();
    cell.rows.push(row);
    cell.origins.push(origin);
}

fn remove<R>(cells: &mut ByDay<R>, events: &[Origin]) {
    for cell in cells.values_mut() {
        let stays = |origin: &Origin| events.binary_search(origin).is_err();
        let mut origins = cell.origins.iter();
        cell.rows.retain(|_| origins.next().is_none_or(stays));
        cell.origins.retain(stays);
    }
    cells.retain(|_, cell| !cell.rows.is_empty());
}
