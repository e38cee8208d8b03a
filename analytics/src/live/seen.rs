//! Which packs were told already: a gateway repeats what was not acknowledged in time, under the same id.

use std::collections::{HashSet, VecDeque};

/// Ids that are remembered. Repeats come within seconds; a gateway that sends its whole ledger again, after NATS was
/// wiped, may repeat what is forgotten here, with the same request ids.
const IDS_MAX: usize = 4096;

/// The last ids.
#[derive(Default)]
pub(super) struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Whether the id comes for the first time.
    pub(super) fn is_new(&mut self, id: String) -> bool {
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_noticed_and_memory_is_bounded() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a".to_owned()));
        assert!(!seen.is_new("a".to_owned()));
        for id in 0..2 * IDS_MAX {
            assert!(seen.is_new(id.to_string()));
        }
        assert_eq!((seen.ids.len(), seen.order.len()), (IDS_MAX, IDS_MAX));
        assert!(!seen.is_new((2 * IDS_MAX - 1).to_string()));
    }
}
