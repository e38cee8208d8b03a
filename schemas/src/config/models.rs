//! `[[models]]`

use super::Capabilities;
use super::read::Section;

/// A model that clients may ask for.
#[derive(Clone, Debug)]
pub struct Model {
    /// What clients ask for; the canonical name in rows.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Most output tokens of an answer whose request states no bound: what a budget reserves for it.
    pub max_output_tokens: u64,
    /// The endpoints that serve it.
    pub routes: Vec<Route>,
}

/// One endpoint that serves a model.
#[derive(Clone, Debug)]
pub struct Route {
    /// Name of the endpoint.
    pub endpoint: String,
    /// What the provider is asked for; `None` asks for the canonical name.
    pub model: Option<String>,
    /// Lower is tried first; `None` takes the provider's.
    pub priority: Option<i32>,
    /// Share of the load among routes of the same priority.
    pub weight: u32,
    /// What the model can do here.
    pub capabilities: Capabilities,
}

impl Model {
    /// [`Model::max_output_tokens`] where the file says nothing, and of models that it does not list.
    pub const MAX_OUTPUT_TOKENS: u64 = 32_768;

    pub(super) fn read(mut section: Section<'_>) -> Self {
        let model = Self {
            name: section.required("name"),
            aliases: section.or("aliases", Vec::new()),
            max_output_tokens: section.or("max_output_tokens", Self::MAX_OUTPUT_TOKENS),
            routes: section.sections("routes").into_iter().map(Route::read).collect(),
        };
        section.ensure(!model.routes.is_empty(), "routes", "a model needs at least one [[models.routes]]");
        section.finish();
        model
    }
}

impl Route {
    fn read(mut section: Section<'_>) -> Self {
        let route = Self {
            endpoint: section.required("endpoint"),
            model: section.optional("model"),
            priority: section.optional("priority"),
            weight: section.or("weight", 1),
            capabilities: section.or("capabilities", Capabilities::default()),
        };
        section.finish();
        route
    }
}
