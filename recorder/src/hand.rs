//! A range in memory, between its reading and its commit.

use std::collections::BTreeMap;

use schemas::progress::SeqSet;
use tokio::task::JoinError;
use uuid::Uuid;

use crate::consume::Envelope;
use crate::decoding::Decoding;
use crate::gather::Range;
use crate::plan::{Context, Decoded, Plan};
use crate::protocol::RangeName;

/// A range in memory and what becomes of it.
#[derive(Debug)]
pub struct Hand {
    /// The range's name.
    pub name: RangeName,
    /// What is known of its messages.
    pub messages: Vec<Envelope>,
    /// What is to be written.
    pub plan: Plan,
    lines: Lines,
}

/// How far a range's lines are.
#[derive(Debug)]
enum Lines {
    /// Being decoded.
    Decoding(Decoding),
    /// Decoded: they may be planned, and planned again.
    Decoded(Decoded),
    /// Their rows are the plan's.
    Settled,
}

impl Hand {
    /// Takes a range that was read.
    pub fn new(range: Range) -> Self {
        let Range { name, messages, decoding } = range;
        Self { name, messages, plan: Plan::default(), lines: Lines::Decoding(decoding) }
    }

    /// Waits until every line is decoded.
    pub async fn decoded(mut self) -> Result<Self, JoinError> {
        if let Lines::Decoding(decoding) = self.lines {
            self.lines = Lines::Decoded(decoding.finish().await?);
        }
        Ok(self)
    }

    /// Plans, or plans again, after the given epochs. Takes its time.
    pub fn planned(mut self, context: Context<'_>, epochs: BTreeMap<Uuid, SeqSet>) -> Self {
        if let Lines::Decoded(decoded) = &self.lines {
            self.plan = Plan::new(context, &self.messages, decoded, epochs);
        }
        self
    }

    /// Makes the rows ready to be written. Takes its time.
    pub fn settled(mut self) -> Self {
        if let Lines::Decoded(decoded) = std::mem::replace(&mut self.lines, Lines::Settled) {
            self.plan.settle(decoded);
        }
        self
    }
}
