//! What will be answered: a pure function of the request and the options.

use schemas::outcome::Format;
use schemas::usage::Usage;

use super::ask::{Ask, Caching};
use super::random::Random;
use super::{Options, text};

/// An answer, before it is put into a dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Tokens of thought before the answer.
    pub thought: Vec<&'static str>,
    /// The answer.
    pub content: Content,
    /// Why it ends.
    pub stop: Stop,
    /// What it costs, as the provider will bill it.
    pub usage: Usage,
}

/// What an answer consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Tokens of text.
    Text(Vec<&'static str>),
    /// One call of a tool.
    Call(ToolCall),
}

/// A call of one of the client's tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// Pieces of its arguments, which together are a JSON object.
    pub arguments: Vec<&'static str>,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is complete.
    End,
    /// The client's limit was reached.
    Length,
    /// The client is to call a tool.
    Call,
}

/// Tokens that a call of a tool costs besides its arguments.
pub(super) const CALL_TOKENS: u64 = 9;

const ARGUMENTS: &[&str] = &["{\"", "location", "\": \"", "Z\u{fc}", "rich", "\", \"", "days", "\": ", "3", "}"];

impl Plan {
    /// Decides the answer.
    pub fn new(ask: &Ask, options: &Options) -> Self {
        let mut random = Random::new(ask.digest ^ options.seed);
        let span = options.output_tokens.end().saturating_sub(*options.output_tokens.start()).saturating_add(1);
        let wanted = options.output_tokens.start().saturating_add(random.below(span)).max(1);
        let thought_wanted = if ask.thinks { 8 + random.below(120) } else { 0 };
        let calls = !ask.tools.is_empty() && (ask.must_call || random.below(2) == 0);
        let cached = cached_part(ask, &mut random);

        let limit = ask.max_output_tokens.unwrap_or(u64::MAX);
        let thought = text::tokens(&mut random, thought_wanted.min(limit));
        let left = limit - thought.len() as u64;
        let name = ask.tools.get(usize::try_from(random.below(ask.tools.len() as u64)).unwrap_or(0));
        let call_tokens = CALL_TOKENS + ARGUMENTS.len() as u64;
        let (content, stop, visible) = match name.filter(|_| calls && call_tokens <= left) {
            Some(name) => {
                let call = ToolCall { name: name.clone(), arguments: ARGUMENTS.to_vec() };
                (Content::Call(call), Stop::Call, call_tokens)
            }
            None => {
                let tokens = text::tokens(&mut random, wanted.min(left));
                let visible = tokens.len() as u64;
                (Content::Text(tokens), if visible < wanted { Stop::Length } else { Stop::End }, visible)
            }
        };
        let reasoning = thought.len() as u64;
        let usage = Usage {
            input: Some(ask.input_tokens),
            fresh_input: Some(ask.input_tokens - cached.total()),
            cache_read: Some(cached.read),
            cache_write_5m: Some(cached.write_5m),
            cache_write_1h: Some(cached.write_1h),
            output: Some(reasoning + visible),
            reasoning: Some(reasoning),
        };
        Self { thought, content, stop, usage }
    }
}

#[derive(Default)]
struct Cached {
    read: u64,
    write_5m: u64,
    write_1h: u64,
}

impl Cached {
    fn total(&self) -> u64 {
        self.read + self.write_5m + self.write_1h
    }
}

/// Anthropic: what is asked to be cached was there already, or is written now, or a part of each. The others: long
/// prompts are sometimes found in the cache, in steps of 128 tokens.
fn cached_part(ask: &Ask, random: &mut Random) -> Cached {
    let chance = random.below(3);
    match (ask.format, ask.caching) {
        (Format::Anthropic, None) => Cached::default(),
        (Format::Anthropic, Some(lifetime)) => {
            let cacheable = ask.input_tokens * 9 / 10;
            let read = [0, cacheable, cacheable / 2].get(chance as usize).copied().unwrap_or(0);
            match lifetime {
                Caching::Short => Cached { read, write_5m: cacheable - read, write_1h: 0 },
                Caching::Long => Cached { read, write_5m: 0, write_1h: cacheable - read },
            }
        }
        _ if ask.input_tokens >= 1024 && chance > 0 => {
            Cached { read: (ask.input_tokens - 1) / 128 * 128, ..Cached::default() }
        }
        _ => Cached::default(),
    }
}
