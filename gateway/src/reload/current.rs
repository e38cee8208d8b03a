//! The configuration in force, with everything built from it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::app::App;

/// Which [`App`] new requests get. A request keeps the one it began with, however often this changes.
pub(crate) struct Current(ArcSwap<App>);

impl Current {
    pub(crate) fn new(app: App) -> Self {
        Self(ArcSwap::from_pointee(app))
    }

    /// Takes no lock: it is asked once per request.
    pub(crate) fn get(&self) -> Arc<App> {
        self.0.load_full()
    }

    pub(super) fn set(&self, app: App) {
        self.0.store(Arc::new(app));
    }
}
