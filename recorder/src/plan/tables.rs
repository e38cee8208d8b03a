//! Events as rows, by table and day.

use std::collections::BTreeMap;

use schemas::events::{Body, Event};
use schemas::price::{Billed, Memo};
use schemas::time::Timestamp;

use super::Origin;
use crate::columns::Block;
use crate::rows::{BodiesRow, CandidateRow, OpenedRow, Recording, RequestRow, TableRow};

/// Rows of one table by the UTC day that their partition in ClickHouse is named by.
pub type ByDay = BTreeMap<u32, Cell>;

/// The rows of one table and day: one insert, one token.
#[derive(Debug)]
pub struct Cell {
    /// In the order of the stream.
    pub rows: Block,
    /// Where each row comes from.
    pub origins: Vec<Origin>,
}

/// The rows of events. When they are recorded is not known yet, nor whether all of them are.
#[derive(Debug, Default)]
pub struct Tables {
    /// Terminal events.
    pub requests: ByDay,
    /// Candidate events.
    pub candidates: ByDay,
    /// Opened events.
    pub opened: ByDay,
    /// Captured bodies.
    pub bodies: ByDay,
}

impl Tables {
    /// Adds the row of an event. Returns whether its tokens are known and their price is not.
    pub fn push(&mut self, prices: &mut Memo<'_>, event: Event, origin: Origin) -> bool {
        let recording = Recording { head: event.head, recorded_at: Timestamp::default() };
        match event.body {
            Body::Terminal(receipt) => {
                let (day, priced) = (receipt.received_at.day(), prices.bill(&Billed::from(&*receipt)));
                let unpriced = priced.unpriced;
                push(&mut self.requests, day, &RequestRow::new(recording, *receipt, priced), origin);
                return unpriced;
            }
            Body::Candidate(candidate) => {
                let (day, priced) = (candidate.received_at.day(), prices.bill(&Billed::from(&*candidate)));
                push(&mut self.candidates, day, &CandidateRow::new(recording, *candidate, priced), origin);
            }
            Body::Opened(opened) => {
                let day = opened.received_at.day();
                push(&mut self.opened, day, &OpenedRow::new(recording, *opened), origin);
            }
            Body::Bodies(bodies) => {
                let day = bodies.received_at.day();
                push(&mut self.bodies, day, &BodiesRow::new(recording, *bodies), origin);
            }
        }
        false
    }

    /// Takes out the rows of some events, which are given in the order of the stream.
    pub fn remove(&mut self, events: &[Origin]) {
        if events.is_empty() {
            return;
        }
        for cells in [&mut self.requests, &mut self.candidates, &mut self.opened, &mut self.bodies] {
            remove(cells, events);
        }
    }

    /// Writes into every row when it is recorded.
    pub fn record_at(&mut self, at: Timestamp) {
        for cells in [&mut self.requests, &mut self.candidates, &mut self.opened, &mut self.bodies] {
            cells.values_mut().for_each(|cell| cell.rows.fill("recorded_at", at.as_micros()));
        }
    }
}

/// Adds a row to its cell.
fn push<R: TableRow>(cells: &mut ByDay, day: u32, row: &R, origin: Origin) {
    let cell = cells.entry(day).or_insert_with(|| Cell { rows: Block::new::<R>(), origins: Vec::new() });
    cell.rows.push(row);
    cell.origins.push(origin);
}

fn remove(cells: &mut ByDay, events: &[Origin]) {
    for cell in cells.values_mut() {
        let keep: Vec<bool> = cell.origins.iter().map(|origin| events.binary_search(origin).is_err()).collect();
        if keep.contains(&false) {
            cell.rows.retain(&keep);
            let mut keep = keep.into_iter();
            cell.origins.retain(|_| keep.next().unwrap_or(true));
        }
    }
    cells.retain(|_, cell| !cell.origins.is_empty());
}
