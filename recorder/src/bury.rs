//! The dead letters of a range: those that were found by reading it, and those whose rows ClickHouse has refused.

use crate::dead_letter;
use crate::gather::Range;
use crate::plan::{self, Context, Plan};
use crate::protocol::TokenBase;
use crate::record::Shared;
use crate::rows::DeadLetterRow;
use crate::write::Refusal;

/// Publishes and stores them.
pub async fn bury(
    shared: &Shared,
    context: Context<'_>,
    base: &TokenBase,
    (range, plan): (&Range, &Plan),
    refusals: Vec<Refusal>,
) -> Result<(), dead_letter::Error> {
    let mut refused: plan::ByDay<DeadLetterRow> = plan::ByDay::new();
    for Refusal { origin, reason } in refusals {
        if let Some((day, row)) = plan::refused(context, &range.messages, origin, reason) {
            let cell = refused.entry(day).or_default();
            cell.rows.push(row);
            cell.origins.push(origin);
        }
    }
    for (part, cells) in [("", &plan.dead_letters), (":refused", &refused)] {
        let letters = || cells.values().flat_map(|cell| &cell.rows);
        for letter in letters() {
            let (id, reason) = (letter.id().to_string(), letter.reason.as_str());
            tracing::warn!(
                partition = context.partition,
                id,
                stage = letter.stage,
                reason,
                "an event is a dead letter"
            );
        }
        dead_letter::publish(&shared.jetstream, letters()).await?;
        shared.writer.write_dead_letters(base, part, cells).await;
    }
    Ok(())
}
