//! Why reading a stream stopped, and what that means where the answer was not complete.

use schemas::outcome::ErrorClass;

/// Why reading stopped.
pub(super) enum End {
    /// The provider closed the stream properly.
    Closed,
    /// The connection broke.
    Broken,
    /// Too long a silence.
    Idle,
    /// The request's time is up.
    Total,
    /// The gateway stops.
    Abort,
}

impl End {
    /// Its error class, and what the client is told.
    pub(super) fn explain(&self) -> (ErrorClass, &'static str) {
        match self {
            Self::Closed => (ErrorClass::StreamCut, "the provider ended the stream before the answer was complete"),
            Self::Broken => {
                (ErrorClass::StreamCut, "the connection to the provider broke before the answer was complete")
            }
            Self::Idle => (ErrorClass::StreamIdle, "the provider fell silent before the answer was complete"),
            Self::Total => (ErrorClass::TotalTimeout, "the answer took longer than the gateway allows"),
            Self::Abort => (ErrorClass::Shutdown, "the gateway stopped before the answer was complete"),
        }
    }
}
