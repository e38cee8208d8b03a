//! Where a partition's recording stands: its progress in KV, made to fit the stream and ClickHouse before it is trusted.

use async_nats::jetstream::stream::Stream;
use schemas::progress::Progress;
use schemas::time::Timestamp;

use crate::broker;
use crate::commit::{Committed, ProgressKey};
use crate::protocol::{self, Departure};
use crate::record::{Error, Shared};
use crate::stored::{self, Since};

/// The state that the next write to KV replaces.
pub struct Position {
    shared: Shared,
    partition: u16,
    key: ProgressKey,
    state: Committed,
}

impl Position {
    /// Reads the state, or makes the first one, and checks it.
    pub async fn open(shared: Shared, partition: u16, key: ProgressKey, stream: &Stream) -> Result<Self, Error> {
        let state = match key.load().await? {
            Some(state) => state,
            None => first_state(&shared, partition, &key, stream).await?,
        };
        let mut position = Self { shared, partition, key, state };
        let facts = broker::facts(stream, position.progress()).await?;
        if let Err(departure) = protocol::verify(position.progress(), &facts) {
            position.start_over(&facts.created, departure).await?;
        }
        if position.progress().intent.is_none() {
            // What is found is written with the next intent; an intent that is there must be repeated as it was made.
            let since = Since::Progress(position.progress().updated_at);
            add_stored(&position.shared, partition, &mut position.state.progress, since).await?;
        }
        position.shared.metrics.gaps(partition, protocol::missing(&position.progress().epochs));
        Ok(position)
    }

    /// The state.
    pub fn progress(&self) -> &Progress {
        &self.state.progress
    }

    /// Replaces the state, if nobody else has.
    pub async fn advance(&mut self, next: Progress) -> Result<(), Error> {
        self.state = self.key.replace(next, self.state.revision).await?;
        self.shared.metrics.gaps(self.partition, protocol::missing(&self.state.progress.epochs));
        Ok(())
    }

    /// Begins to read the stream anew, because it is not the one that was recorded from.
    pub async fn start_over(&mut self, stream_created: &str, departure: Departure) -> Result<(), Error> {
        let partition = self.partition;
        tracing::warn!(partition, %departure, "the stream is not the known one: reading all of it, what is recorded is recognised");
        self.shared.metrics.incarnation_began(partition);
        let since = Since::Progress(self.progress().updated_at);
        let mut next = protocol::start_over(self.progress(), stream_created, Timestamp::now());
        self.shared.owner.clone_into(&mut next.owner);
        add_stored(&self.shared, partition, &mut next, since).await?;
        self.advance(next).await
    }
}

/// The first state of a partition, or the first after KV was lost: then ClickHouse knows what is recorded.
async fn first_state(shared: &Shared, partition: u16, key: &ProgressKey, stream: &Stream) -> Result<Committed, Error> {
    let created = broker::created(&broker::info(stream).await?);
    let mut progress = protocol::begin(&created, Timestamp::now());
    shared.owner.clone_into(&mut progress.owner);
    add_stored(shared, partition, &mut progress, Since::Ever).await?;
    Ok(key.create(progress).await?)
}

async fn add_stored(shared: &Shared, partition: u16, progress: &mut Progress, since: Since) -> Result<(), Error> {
    let stored = stored::find(&shared.clickhouse, partition, since, Timestamp::now()).await;
    shared.metrics.clickhouse_answered(stored.is_ok());
    let added = protocol::add_stored(&mut progress.epochs, &stored.map_err(Error::Stored)?);
    if added > 0 {
        tracing::warn!(partition, events = added, "ClickHouse holds events that the progress did not know: added");
    }
    Ok(())
}
