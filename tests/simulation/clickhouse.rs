//! ClickHouse as it was measured (T1 to T14): a token names a block in the raw table and in the views' target each by
//! itself, an insert can fail between the two, and what a client has given up can still take effect.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use recorder::protocol::Stored;

use super::nats::Event;
use super::sabotage::Sabotage;

/// How an insert goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Well,
    /// It fails and has no effect.
    ErrorBefore,
    /// It fails after the table was written and before its views.
    ErrorBetween,
    /// It works, and the answer is lost.
    ErrorAfter,
    /// Nobody hears of it any more, and it works some time later.
    Late,
}

#[derive(Debug, Default)]
pub struct ClickHouse {
    pub raw: BTreeMap<Event, u32>,
    pub view: BTreeMap<Event, u32>,
    raw_tokens: BTreeSet<Rc<str>>,
    view_tokens: BTreeSet<Rc<str>>,
    late: Vec<(u64, Rc<str>, Rc<[Event]>)>,
}

impl ClickHouse {
    pub fn insert(&mut self, token: &Rc<str>, rows: &Rc<[Event]>, fate: Fate, due_ms: u64, sabotage: Sabotage) -> bool {
        match fate {
            Fate::ErrorBefore => return false,
            Fate::Late => {
                self.late.push((due_ms, token.clone(), rows.clone()));
                return false;
            }
            Fate::Well | Fate::ErrorBetween | Fate::ErrorAfter => {}
        }
        if self.raw_tokens.insert(token.clone()) {
            add(&mut self.raw, rows);
        }
        if fate == Fate::ErrorBetween {
            return false;
        }
        if self.view_tokens.insert(token.clone()) || sabotage == Sabotage::ViewWithoutWindow {
            add(&mut self.view, rows);
        }
        fate == Fate::Well
    }

    /// Inserts take effect whose time has come.
    pub fn pass(&mut self, now_ms: u64) {
        while let Some(at) = self.late.iter().position(|(due_ms, ..)| *due_ms <= now_ms) {
            let (_, token, rows) = self.late.swap_remove(at);
            self.insert(&token, &rows, Fate::Well, now_ms, Sabotage::None);
        }
    }

    /// The rows of blocks that never reached the views: raw tables are right, sums in views are not.
    pub fn half_written(&self) -> usize {
        self.raw_tokens.difference(&self.view_tokens).count()
    }

    pub fn stored(&self, partition: u16) -> Vec<Stored> {
        let rows = self.raw.keys().filter(|event| event.partition == partition);
        rows.map(|event| Stored { epoch: event.epoch, first: event.seq, last: event.seq }).collect()
    }
}

fn add(rows: &mut BTreeMap<Event, u32>, added: &[Event]) {
    for event in added {
        *rows.entry(*event).or_default() += 1;
    }
}
