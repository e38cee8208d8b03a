//! Unknown outcomes and refused rows, against a table that keeps tokens.

use std::collections::BTreeMap;
use std::sync::Mutex;

use clickhouse::error::Error;

use super::*;
use crate::rows::OpenedRow;

/// A table that keeps tokens, refuses some numbers and fails some tries.
#[derive(Default)]
struct Table {
    refuses: Vec<u64>,
    failures: Mutex<u32>,
    stored: Mutex<BTreeMap<String, Vec<u64>>>,
    tries: Mutex<Vec<String>>,
}

impl Insert for Table {
    async fn insert(&self, token: &str, rows: &Block) -> Result<(), Error> {
        self.tries.lock().unwrap().push(token.to_owned());
        let seqs: Vec<u64> = rows.numbers("seq").into_iter().map(|seq| seq.unwrap() as u64).collect();
        if seqs.iter().any(|seq| self.refuses.contains(seq)) {
            return Err(Error::BadResponse("Code: 469. DB::Exception: no (VIOLATED_CONSTRAINT)".into()));
        }
        // The worst kind of failure: stored, but the answer is lost.
        self.stored.lock().unwrap().entry(token.to_owned()).or_insert(seqs);
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(Error::TimedOut);
        }
        Ok(())
    }
}

fn cell(seqs: std::ops::Range<u64>) -> Cell {
    let mut cell = Cell { rows: Block::new::<OpenedRow>(), origins: Vec::new() };
    for seq in seqs {
        cell.origins.push(Origin { message: 0, line: usize::try_from(seq).unwrap() });
        cell.rows.push(&crate::plan::opened_row(seq));
    }
    cell
}

fn writer(table: Table) -> Writer<Table> {
    Writer::new(table, Metrics::new(1).unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_tried_again_under_the_same_token() {
    let writer = writer(Table { failures: Mutex::new(3), ..Table::default() });
    assert_eq!(writer.write_cell("t", &cell(1..4)).await, []);
    assert_eq!(*writer.inserter.tries.lock().unwrap(), ["t"; 4]);
    assert_eq!(*writer.inserter.stored.lock().unwrap(), BTreeMap::from([("t".to_owned(), vec![1, 2, 3])]));
}

#[tokio::test(start_paused = true)]
async fn refused_rows_are_found_and_all_others_are_stored_once() {
    for refuses in [vec![], vec![0], vec![7], vec![3, 4], (0..8).collect::<Vec<u64>>()] {
        let writer = writer(Table { refuses: refuses.clone(), failures: Mutex::new(2), ..Table::default() });
        let refusals = writer.write_cell("t", &cell(0..8)).await;
        assert_eq!(refusals.iter().map(|refusal| refusal.origin.line as u64).collect::<Vec<_>>(), refuses);
        let stored: Vec<u64> = writer.inserter.stored.lock().unwrap().values().flatten().copied().collect();
        let mut expected: Vec<u64> = (0..8).filter(|seq| !refuses.contains(seq)).collect();
        let mut found = stored.clone();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "refusing {refuses:?}");
    }
}

#[tokio::test]
async fn halves_have_the_tokens_and_the_order_that_every_release_gives_them() {
    let writer = writer(Table { refuses: vec![5], ..Table::default() });
    writer.write_cell("t", &cell(0..7)).await;
    assert_eq!(*writer.inserter.tries.lock().unwrap(), ["t", "t:0-3", "t:3-7", "t:3-5", "t:5-7", "t:5-6", "t:6-7"]);
    let stored = [("t:0-3", vec![0, 1, 2]), ("t:3-5", vec![3, 4]), ("t:6-7", vec![6])];
    assert_eq!(*writer.inserter.stored.lock().unwrap(), stored.map(|(token, seqs)| (token.to_owned(), seqs)).into());
}
