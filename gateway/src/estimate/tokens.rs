//! How many tokens a text has: by OpenAI's own vocabularies for OpenAI's models, by rule of thumb for all others.

use std::panic::catch_unwind;

use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};

/// How a model counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// OpenAI's vocabulary since GPT-4o.
    O200k,
    /// OpenAI's vocabulary of GPT-4 and GPT-3.5.
    Cl100k,
    /// The rule of thumb.
    Rule,
}

impl Scheme {
    /// The scheme of the first name that is known, in any spelling that routers use (`openai/gpt-4o`). A vocabulary is
    /// unpacked when it first counts.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let known = |name: &str| match get_tokenizer(name.rsplit('/').next()?)? {
            Tokenizer::O200kBase | Tokenizer::O200kHarmony => Some(Self::O200k),
            Tokenizer::Cl100kBase => Some(Self::Cl100k),
            Tokenizer::P50kBase | Tokenizer::R50kBase | Tokenizer::P50kEdit | Tokenizer::Gpt2 => None,
        };
        names.into_iter().find_map(known).unwrap_or(Self::Rule)
    }

    /// Tokens of a text.
    pub(super) fn count(self, text: &str) -> u64 {
        let vocabulary = match self {
            Self::O200k => tiktoken_rs::o200k_base_singleton,
            Self::Cl100k => tiktoken_rs::cl100k_base_singleton,
            Self::Rule => return by_rule(text),
        };
        // The tokenizer's regex engine may refuse a text, which the tokenizer answers with a panic. What a text holds
        // must not decide whether its request is accounted for.
        let counted = catch_unwind(|| vocabulary().count_ordinary(text) as u64);
        counted.unwrap_or_else(|_refused| by_rule(text))
    }
}

/// Two tokens a CJK character and 1.3 a word (S144). Characters of a CJK run make no word besides (S211).
fn by_rule(text: &str) -> u64 {
    let (mut cjk, mut words, mut in_word) = (0, 0, false);
    for char in text.chars() {
        let is_cjk = matches!(char, '\u{4E00}'..='\u{9FFF}');
        let is_word = !is_cjk && (char.is_alphanumeric() || char == '_');
        cjk += u64::from(is_cjk);
        words += u64::from(is_word && !in_word);
        in_word = is_word;
    }
    (20 * cjk + 13 * words) / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_words_and_cjk_characters_once() {
        for (text, tokens) in [
            ("", 0),
            ("hello", 1),
            ("hello world", 2),
            ("one two three four five six seven eight nine ten", 13),
            ("你好", 4),
            ("你好 world", 5),
            ("say 你好, twice: 你好!", 10),
            ("snake_case don't 3.14", 6),
            (" \n--- ...", 0),
        ] {
            assert_eq!(by_rule(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn knows_openais_models_by_all_their_names() {
        // Published counts of OpenAI's own tokenizers for the same text.
        let text = "お誕生日おめでとう";
        for (model, tokens) in [
            ("gpt-4", 9),
            ("gpt-3.5-turbo-0125", 9),
            ("gpt-35-turbo-16k", 9),
            ("gpt-4o", 8),
            ("gpt-4o-mini-2024-07-18", 8),
            ("gpt-4.1-nano", 8),
            ("gpt-5.1", 8),
            ("o3-mini", 8),
            ("openai/gpt-4o", 8),
            ("openai/gpt-oss-120b", 8),
        ] {
            assert_eq!(Scheme::of(["my-deployment", model]).count(text), tokens, "{model}");
        }
        for model in ["", "claude-sonnet-4-5", "gemini-2.5-pro", "mistral-large-latest", "deepseek/deepseek-r1"] {
            assert_eq!(Scheme::of([model]), Scheme::Rule, "{model}");
        }
    }

    #[test]
    fn counts_texts_that_tokenizers_choke_on() {
        for piece in ["a", " ", "\n", "=", "\u{1f600}", "\u{0301}", "9", " \n", "A\u{0301}"] {
            let text = piece.repeat(super::super::sample::SAMPLE_MAX_BYTES / piece.len());
            let tokens = Scheme::O200k.count(&text);
            assert!(tokens > 0 && tokens <= text.len() as u64, "{piece:?}: {tokens}");
        }
        assert_eq!(Scheme::O200k.count("<|endoftext|>"), 7, "text, not a control token");
    }
}
