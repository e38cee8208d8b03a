//! What was spent, in a small file beside the ledger: a gateway that starts again knows it without asking anybody.

use std::io;
use std::path::Path;

use schemas::money::Pico;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Limits;

/// The file's name in the ledger's folder.
const FILE: &str = "budgets.json";

/// What a client has spent in a window, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    client: String,
    from: Timestamp,
    spent: Pico,
}

impl Limits {
    /// What is to be kept.
    pub fn kept(&self, now: Timestamp) -> Vec<Kept> {
        let accounts = self.accounts.iter().flatten();
        let kept = accounts.filter_map(|account| {
            let spent = account.spent_here(now)?;
            (spent.spent > Pico::ZERO).then(|| Kept {
                client: account.name.clone(),
                from: spent.from,
                spent: spent.spent,
            })
        });
        kept.collect()
    }

    /// Recalls what was kept, where its window has not turned.
    pub fn recall(&self, kept: &[Kept], now: Timestamp) {
        for Kept { client, from, spent } in kept {
            for account in self.accounts.iter().flatten().filter(|account| account.name == *client) {
                account.recall(*from, *spent, now);
            }
        }
    }
}

/// Reads the file of a ledger's folder; none is as good as an empty one.
pub fn read(dir: &Path) -> io::Result<Vec<Kept>> {
    match std::fs::read(dir.join(FILE)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes it so that it is there whole or not at all. A killed process loses nothing that was written; power loss may
/// leave the former file, which ClickHouse then corrects.
pub fn write(dir: &Path, kept: &[Kept]) -> io::Result<()> {
    let draft = dir.join("budgets.draft");
    std::fs::write(&draft, serde_json::to_vec(kept)?)?;
    std::fs::rename(draft, dir.join(FILE))
}
