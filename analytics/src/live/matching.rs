//! Whether a terminal event passes filters: what SQL decides of rows, decided of events.

use schemas::events::Receipt;

use crate::params::{Dimension, Filter};

/// Every filter has a value that is the event's; the empty value stands for none.
pub(super) fn matches(filters: &[Filter], receipt: &Receipt) -> bool {
    let passes = |filter: &Filter| {
        let own = value(&filter.dimension, receipt);
        filter.values.iter().any(|value| value == own)
    };
    filters.iter().all(passes)
}

fn value<'a>(dimension: &Dimension, receipt: &'a Receipt) -> &'a str {
    match dimension {
        Dimension::Client => &receipt.client,
        Dimension::User => receipt.user.as_deref().unwrap_or_default(),
        Dimension::Model => &receipt.model,
        Dimension::Provider => &receipt.provider,
        Dimension::Endpoint => &receipt.endpoint,
        Dimension::Key => &receipt.key,
        Dimension::Format => receipt.format.as_str(),
        Dimension::Operation => receipt.operation.as_str(),
        Dimension::Outcome => receipt.outcome.as_str(),
        Dimension::Tag(name) => receipt.tags.get(name.as_str()).map(String::as_str).unwrap_or_default(),
    }
}
