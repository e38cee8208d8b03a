//! Tokens of ClickHouse's SQL, as far as telling statements apart needs them.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare word: keyword, identifier or the rest of a number.
    Word,
    /// A quoted identifier.
    Quoted,
    /// A string literal or heredoc.
    String,
    /// One character of punctuation.
    Punctuation(u8),
    /// A literal, quoted name or comment whose end is not there.
    Unterminated,
}

/// One token with its place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t [u8],
    pub(super) start: usize,
}

impl Token<'_> {
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword.as_bytes())
    }

    pub(super) fn is(&self, punctuation: u8) -> bool {
        self.kind == Kind::Punctuation(punctuation)
    }

    /// Whether it can name a table, a column or a format.
    pub(super) fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }

    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Walks over the tokens of a text; white space and comments are skipped.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'t> {
    text: &'t [u8],
    position: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, position: 0 }
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }

    /// Skips white space and comments; false when a comment has no end.
    fn skip_blank(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
            if blank > 0 {
                self.position += blank;
            } else if rest.starts_with(b"--") || rest.starts_with(b"#!") || rest.starts_with(b"# ") {
                self.position += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix(b"/*") {
                let Some(length) = find(comment, b"*/") else { return false };
                self.position += length + 4;
            } else {
                return true;
            }
        }
    }

    fn take(&mut self, kind: Kind, length: usize) -> Token<'t> {
        let start = self.position;
        self.position = (start + length).min(self.text.len());
        Token { kind, text: self.text.get(start..self.position).unwrap_or_default(), start }
    }
}

impl<'t> Iterator for Lexer<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        if !self.skip_blank() {
            return Some(self.take(Kind::Unterminated, usize::MAX / 2));
        }
        let rest = self.rest();
        let first = *rest.first()?;
        let (kind, length) = match first {
            b'\'' => (Kind::String, quoted_length(rest, first)),
            b'`' | b'"' => (Kind::Quoted, quoted_length(rest, first)),
            b'$' => match heredoc_length(rest) {
                Some(length) => (Kind::String, length),
                None => (Kind::Punctuation(first), Some(1)),
            },
            _ if is_word(first) => (Kind::Word, Some(rest.iter().take_while(|byte| is_word(**byte)).count())),
            _ => (Kind::Punctuation(first), Some(1)),
        };
        Some(match length {
            Some(length) => self.take(kind, length),
            None => self.take(Kind::Unterminated, rest.len()),
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Length of a quoted piece with both its quotes; a quote inside is doubled or follows a backslash.
fn quoted_length(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        if *byte == b'\\' {
            at += 2;
        } else if *byte != quote {
            at += 1;
        } else if rest.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
    None
}

/// Length of `$tag$ ... $tag$`. Outer `None`: this dollar sign opens no heredoc; inner `None`: it has no end.
fn heredoc_length(rest: &[u8]) -> Option<Option<usize>> {
    let tag = 1 + rest.iter().skip(1).take_while(|byte| is_word(**byte)).count();
    let opening = rest.get(..=tag).filter(|opening| opening.ends_with(b"$"))?;
    let end = find(rest.get(opening.len()..)?, opening);
    Some(end.map(|inside| inside + 2 * opening.len()))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
