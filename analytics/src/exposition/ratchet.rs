//! Totals that never fall.
//!
//! What is read can fall: an old partition is dropped, a period is repriced. Prometheus takes a counter that falls for a
//! restart and adds its whole value again, so a fall is left out here and what comes after it is counted on.

use std::collections::BTreeMap;

use super::series::Series;

#[derive(Default)]
pub(super) struct Ratchet {
    series: BTreeMap<Series, Position>,
}

#[derive(Clone, Copy, Default)]
struct Position {
    read: i128,
    shown: i128,
}

impl Ratchet {
    /// Takes over a reading of all series.
    pub(super) fn raise(&mut self, sums: &BTreeMap<Series, i128>) {
        for (series, read) in sums {
            let position = match self.series.get_mut(series) {
                Some(position) => position,
                None => self.series.entry(series.clone()).or_default(),
            };
            position.shown += (read - position.read).max(0);
            position.read = *read;
        }
    }

    /// What to show, in the order of series.
    pub(super) fn values(&self) -> impl Iterator<Item = (&Series, i128)> {
        self.series.iter().map(|(series, position)| (series, position.shown))
    }
}
