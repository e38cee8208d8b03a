//! A budget: what was spent in its window, and what the requests under way may still cost. Pure.

use schemas::config::Budget;
use schemas::money::Pico;
use schemas::time::Timestamp;

/// What counts against a budget, in exact money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Purse {
    /// The window: its first moment, and that of the next one.
    from: Timestamp,
    to: Timestamp,
    /// What settled requests have cost here.
    spent: Pico,
    /// What requests under way here may cost.
    reserved: Pico,
    /// The same at the other gateways, both together.
    elsewhere: Pico,
}

/// A budget that leaves no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsedUp {
    /// When the window turns.
    pub(super) until: Timestamp,
}

/// What one gateway tells of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) from: Timestamp,
    pub(super) spent: Pico,
    pub(super) reserved: Pico,
}

impl Purse {
    /// Takes the turn of the window: all that was spent is forgotten, also what is still under way, which belongs to the
    /// window that it began in. A clock that was set back changes nothing until it has caught up.
    pub(super) fn roll(&mut self, budget: &Budget, now: Timestamp) {
        if now < self.to {
            return;
        }
        let (from, to) = budget.per.bounds(now);
        *self = Self { from, to, ..Self::default() };
    }

    /// Sets money aside, if there is enough.
    pub(super) fn reserve(&mut self, budget: &Budget, most: Pico) -> Result<(), UsedUp> {
        if most > self.left(budget) {
            return Err(UsedUp { until: self.to });
        }
        self.reserved = self.reserved + most;
        Ok(())
    }

    /// A request is over whose money was set aside in the window that began at `from`.
    pub(super) fn settle(&mut self, from: Timestamp, reserved: Pico, cost: Pico) {
        if from == self.from {
            self.reserved = Pico((self.reserved.0 - reserved.0).max(0));
            self.spent = self.spent.checked_add(cost).unwrap_or(self.spent);
        }
    }

    /// What is known of this gateway from elsewhere: it has spent no less.
    pub(super) fn recall(&mut self, from: Timestamp, spent: Pico) {
        if from == self.from {
            self.spent = self.spent.max(spent);
        }
    }

    /// What counts at the others.
    pub(super) fn hear(&mut self, from: Timestamp, elsewhere: Pico) {
        if from == self.from {
            self.elsewhere = elsewhere;
        }
    }

    /// What no request has spent, or may still spend; less than nothing where the budget was overspent.
    pub(super) fn left(&self, budget: &Budget) -> Pico {
        Pico(budget.usd.0 - (self.spent + self.reserved + self.elsewhere).0)
    }

    /// What counts here.
    pub(super) fn here(&self) -> Spent {
        Spent { from: self.from, spent: self.spent, reserved: self.reserved }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::config::BudgetWindow;

    use super::*;

    fn budget(pico: i128) -> Budget {
        Budget { usd: Pico(pico), per: BudgetWindow::Day }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn purse(budget: &Budget) -> Purse {
        let mut purse = Purse::default();
        purse.roll(budget, at("2026-11-27T08:00:00Z"));
        purse
    }

    #[test]
    fn what_is_set_aside_or_spent_is_not_there_twice() {
        let budget = budget(100);
        let mut purse = purse(&budget);
        let from = purse.here().from;
        assert_eq!(purse.reserve(&budget, Pico(60)), Ok(()));
        assert_eq!(purse.reserve(&budget, Pico(41)), Err(UsedUp { until: at("2026-11-28T00:00:00Z") }));
        assert_eq!(purse.reserve(&budget, Pico(40)), Ok(()), "to the last pico-dollar");
        purse.settle(from, Pico(60), Pico(10));
        assert_eq!(purse.reserve(&budget, Pico(51)), Err(UsedUp { until: at("2026-11-28T00:00:00Z") }));
        purse.hear(from, Pico(50));
        assert!(purse.reserve(&budget, Pico(1)).is_err());
        assert_eq!(purse.reserve(&budget, Pico::ZERO), Ok(()), "what costs nothing has room");
    }

    #[test]
    fn the_turn_of_the_window_begins_anew_and_late_bills_stay_in_theirs() {
        let budget = budget(100);
        let mut purse = purse(&budget);
        let from = purse.here().from;
        purse.reserve(&budget, Pico(90)).unwrap();
        purse.roll(&budget, at("2026-11-27T23:59:59.999999Z"));
        assert!(purse.reserve(&budget, Pico(20)).is_err());
        purse.roll(&budget, at("2026-11-28T00:00:00Z"));
        assert_eq!(purse.reserve(&budget, Pico(100)), Ok(()));
        purse.settle(from, Pico(90), Pico(90));
        purse.recall(from, Pico(500));
        purse.hear(from, Pico(500));
        assert_eq!((purse.here().spent, purse.here().reserved), (Pico::ZERO, Pico(100)));
        purse.roll(&budget, at("2026-11-27T23:00:00Z"));
        assert_eq!(purse.here().reserved, Pico(100), "a clock that was set back");
    }

    #[test]
    fn what_was_forgotten_is_recalled_once() {
        let budget = budget(100);
        let mut purse = purse(&budget);
        let from = purse.here().from;
        purse.recall(from, Pico(70));
        purse.recall(from, Pico(60));
        assert_eq!(purse.here().spent, Pico(70));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is asked for, in whatever order it is settled: where no request costs more than what was set aside
        /// for it, no more than the budget is ever spent.
        #[test]
        fn nothing_is_spent_beyond_the_budget(
            limit in 0_i128..1_000, asks in prop::collection::vec((0_i128..200, 0_i128..=100, any::<bool>()), 0..200)
        ) {
            let budget = budget(limit);
            let mut purse = purse(&budget);
            let from = purse.here().from;
            let mut under_way: Vec<(Pico, Pico)> = Vec::new();
            for (most, percent, settles) in asks {
                if purse.reserve(&budget, Pico(most)).is_ok() {
                    under_way.push((Pico(most), Pico(most * percent / 100)));
                }
                if settles && let Some((reserved, cost)) = under_way.pop() {
                    purse.settle(from, reserved, cost);
                }
                let here = purse.here();
                let reserved: Pico = under_way.iter().map(|(reserved, _)| *reserved).sum();
                prop_assert_eq!(here.reserved, reserved);
                prop_assert!(here.spent + here.reserved <= budget.usd);
            }
        }
    }
}
