//! The kinds of load that targets are compared under.

use std::sync::Arc;
use std::time::Duration;

use schemas::outcome::Format;

use crate::answer::{self, Request};
use crate::load::How;
use crate::pacing::Pacing;
use crate::settings::FAILOVER_MODEL;
use crate::target::Target;

/// One kind of load.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name in reports.
    pub name: String,
    /// What is asked.
    pub request: Arc<Request>,
    /// How often, and by how many.
    pub how: How,
    only: Only,
}

/// Who is measured under a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    All,
    /// Those that pass on bytes as they come.
    ByteTrue,
    /// The gateway itself.
    Gateways,
}

/// How long and how hard targets are loaded.
#[derive(clap::Args, Clone, Debug)]
pub struct Strength {
    /// Length of a measurement, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    pub window_ms: u64,
    /// Clients at once.
    #[arg(long, default_value_t = 16)]
    pub clients: usize,
    /// Clients at once where events come 1 ms apart.
    #[arg(long, default_value_t = 64)]
    pub slow_clients: usize,
    /// Clients at once where 300 events come 20 ms apart.
    #[arg(long, default_value_t = 100)]
    pub spoken_clients: usize,
    /// Requests a second where the rate is fixed.
    #[arg(long, default_value_t = 200)]
    pub rate: u32,
    /// Only profiles whose name contains this.
    #[arg(long, default_value = "")]
    pub only: String,
}

const WARM_UP: Duration = Duration::from_millis(300);
/// Sentences of 91 bytes in a prompt of 100 KB.
const LONG_PROMPT: usize = 1100;
/// Windows that a measurement of times or of slow streams takes: they need more than one of CPU does.
const LONGER: u32 = 3;

impl Profile {
    /// Whether a target is measured under it.
    pub fn is_for(&self, target: Target) -> bool {
        match self.only {
            Only::All => true,
            Only::ByteTrue => !target.is_peer(),
            Only::Gateways => target.is_gateway(),
        }
    }
}

/// All profiles, in the order of the report.
pub fn all(strength: &Strength) -> Vec<Profile> {
    let window = Duration::from_millis(strength.window_ms);
    let closed = |clients| How { clients, rate: None, warm_up: WARM_UP, window };
    let profile = |name: String, request, how, only| Profile { name, request: Arc::new(request), how, only };
    let chat = Format::OpenaiChat;
    let plain = |model, repeated| answer::prompted(chat, Pacing::Plain, model, repeated);
    let mut profiles = vec![
        profile("plain 1 KB".to_owned(), answer::request(chat, Pacing::Plain), closed(strength.clients), Only::All),
        profile(
            "plain, prompt of 100 KB".to_owned(),
            plain(answer::model(chat), LONG_PROMPT),
            closed(strength.clients),
            Only::ByteTrue,
        ),
        profile(
            "plain, failover on every second request".to_owned(),
            plain(FAILOVER_MODEL, 3),
            closed(strength.clients),
            Only::Gateways,
        ),
    ];
    for format in [chat, Format::Anthropic, Format::OpenaiResponses, Format::Gemini] {
        let only = if format == chat { Only::All } else { Only::ByteTrue };
        let name = format!("64 events together, {format}");
        profiles.push(profile(name, answer::request(format, Pacing::Together), closed(strength.clients), only));
    }
    for format in [chat, Format::Anthropic] {
        let name = format!("64 events one by one, {format}");
        let request = answer::request(format, Pacing::OneByOne);
        profiles.push(profile(name, request, closed(strength.slow_clients), Only::ByteTrue));
    }
    let fixed = How { rate: Some(strength.rate), window: window * LONGER, ..closed(64) };
    let name = format!("plain 1 KB at {} a second", strength.rate);
    profiles.push(profile(name, answer::request(chat, Pacing::Plain), fixed, Only::ByteTrue));
    // A stream takes 6 s: the warm-up has them all under way, and the window sees some of them begin and end.
    let warm_up = Duration::from_secs(1);
    let spoken = How { warm_up, window: Duration::from_millis(6500), ..closed(strength.spoken_clients) };
    let name = "300 events, 20 ms apart".to_owned();
    profiles.push(profile(name, answer::request(chat, Pacing::Spoken), spoken, Only::ByteTrue));
    profiles.retain(|profile| profile.name.contains(&strength.only));
    profiles
}
