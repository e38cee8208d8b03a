//! Unknown outcomes and refused rows, against a table that keeps tokens.

use std::any::Any;
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
    async fn insert<R: TableRow>(&self, token: &str, rows: &[R]) -> Result<(), Error> {
        self.tries.lock().unwrap().push(token.to_owned());
        let seqs: Vec<u64> =
            rows.iter().map(|row| (row as &dyn Any).downcast_ref::<OpenedRow>().unwrap().seq).collect();
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

fn cell(seqs: std::ops::Range<u64>) -> Cell<OpenedRow> {
    let mut cell = Cell::default();
    for seq in seqs {
        cell.origins.push(Origin { message: 0, line: usize::try_from(seq).unwrap() });
        cell.rows.push(crate::plan::opened_row(seq));
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
