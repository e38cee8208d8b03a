//! Tells statements apart: what may be streamed, where an INSERT's data begin, what is not allowed over HTTP.

mod lexer;
#[cfg(test)]
mod tests;

use self::lexer::{Kind, Lexer, Token};
use super::exception::Exception;

/// What a text asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The text ends before that can be said; more of it is needed.
    Incomplete,
    /// An INSERT whose data follow: the statement up to its FORMAT or VALUES clause, and where the data begin.
    Insert {
        /// The statement as the engine wants it, without FORMAT.
        head: Vec<u8>,
        /// The named format; `None` leaves it to the request.
        format: Option<String>,
        /// Offset of the first byte of data.
        data_at: usize,
    },
    /// Any other statement. All of the text belongs to it, and has to be read before `describe` is asked.
    Statement,
}

/// What matters about a whole statement that carries no data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    /// The format named in the text.
    pub(super) format: Option<String>,
    /// A SELECT whose chunks may be put one behind another, if the format allows it.
    pub(super) is_streamable: bool,
    /// Changes nothing, and may be stopped at any time.
    pub(super) is_read: bool,
    /// SET, USE or a temporary table: means something only within a session.
    pub(super) needs_session: bool,
}

/// Settings and keywords that make a result one document whatever its format is.
const WHOLE_DOCUMENT: [&str; 3] = ["TOTALS", "extremes", "output_format_json_array_of_rows"];

/// Whether a keyword or setting makes a result one document, whatever its format is.
pub(super) fn makes_one_document(word: &str) -> bool {
    WHOLE_DOCUMENT.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Finds out what a text asks for. `is_all` says that nothing follows it.
pub(super) fn parse(text: &[u8], is_all: bool) -> Result<Parsed, Exception> {
    let mut tokens = Lexer::new(text).peekable();
    match tokens.peek() {
        Some(first) if first.is_keyword("INSERT") && (is_all || first.end() < text.len()) => {}
        // A bare word at the very end may go on: `INS` + `ERT`.
        Some(first) if is_all || (first.kind != Kind::Unterminated && first.end() < text.len()) => {
            return Ok(Parsed::Statement);
        }
        None if is_all => {
            return Err(Exception::syntax_error("Syntax error: failed at position 1 (end of query): Empty query"));
        }
        _ => return Ok(Parsed::Incomplete),
    }
    let tokens: Vec<Token<'_>> = tokens.collect();
    match insert(text, &tokens, is_all)? {
        Some(parsed) => Ok(parsed),
        None if is_all => Ok(Parsed::Insert { head: text.to_vec(), format: None, data_at: text.len() }),
        None => Ok(Parsed::Incomplete),
    }
}

/// Looks for the clause after which an INSERT's data begin. `None`: not seen yet.
fn insert(text: &[u8], tokens: &[Token<'_>], is_all: bool) -> Result<Option<Parsed>, Exception> {
    let mut depth = 0_usize;
    let mut at = after_target(tokens);
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1);
        match token.kind {
            Kind::Unterminated if is_all => return Err(unterminated(token)),
            Kind::Unterminated => return Ok(None),
            Kind::Punctuation(b'(') if depth == 0 && next.is_some_and(starts_select) => {
                return Ok(Some(Parsed::Statement));
            }
            Kind::Punctuation(b'(') => depth += 1,
            Kind::Punctuation(b')') => depth = depth.saturating_sub(1),
            Kind::Word if depth == 0 => {
                // The last word of an unfinished text may go on.
                if token.end() == text.len() && !is_all {
                    return Ok(None);
                }
                if starts_select(token) || token.is_keyword("WATCH") {
                    return Ok(Some(Parsed::Statement));
                }
                if token.is_keyword("FROM") && next.is_some_and(|next| next.is_keyword("INFILE")) {
                    return Err(Exception::unknown_type_of_query("Query has infile and was send directly to server"));
                }
                if token.is_keyword("VALUES") {
                    return Ok(Some(values(text, token)));
                }
                if token.is_keyword("FORMAT") {
                    return format_clause(text, tokens.get(at..).unwrap_or_default(), is_all);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Ok(None)
}

/// Index of the first token behind the table's name, so that a table may be called `values` or `format`.
fn after_target(tokens: &[Token<'_>]) -> usize {
    let keyword = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(word));
    let mut at = 1;
    if keyword(at, "INTO") {
        at += 1;
    }
    if keyword(at, "FUNCTION") {
        return at + 2;
    }
    if keyword(at, "TABLE") && tokens.get(at + 1).is_some_and(Token::is_name) && !keyword(at + 1, "FORMAT") {
        at += 1;
    }
    // name [. name]
    at += 1;
    while tokens.get(at).is_some_and(|token| token.is(b'.')) {
        at += 2;
    }
    at
}

fn starts_select(token: &Token<'_>) -> bool {
    token.is_keyword("SELECT") || token.is_keyword("WITH")
}

fn values(text: &[u8], token: &Token<'_>) -> Parsed {
    Parsed::Insert {
        head: text.get(..token.start).unwrap_or_default().to_vec(),
        format: Some("Values".to_owned()),
        data_at: token.end(),
    }
}

/// `FORMAT name [SETTINGS a = 1, ...]` and then the data. The engine takes settings only before FORMAT, so they move there.
fn format_clause(text: &[u8], tokens: &[Token<'_>], is_all: bool) -> Result<Option<Parsed>, Exception> {
    let [keyword, name, ..] = tokens else {
        let missing = Exception::syntax_error("Syntax error: the name of the format is missing behind FORMAT");
        return if is_all { Err(missing) } else { Ok(None) };
    };
    if name.end() == text.len() && !is_all {
        return Ok(None);
    }
    let mut head = text.get(..keyword.start).unwrap_or_default().to_vec();
    let mut clause_end = name.end();
    let may_become_settings = match tokens.get(2) {
        None => true,
        Some(token) => token.end() == text.len() && is_beginning_of(token.text, b"SETTINGS"),
    };
    if may_become_settings && !is_all {
        return Ok(None);
    }
    if tokens.get(2).is_some_and(|token| token.is_keyword("SETTINGS")) {
        let Some(end) = settings_end(tokens.get(2..).unwrap_or_default(), text.len(), is_all) else { return Ok(None) };
        head.extend_from_slice(text.get(name.end()..end).unwrap_or_default());
        clause_end = end;
    }
    let blank = |at: &usize| matches!(text.get(*at), Some(b' ' | b'\t' | 0x0c));
    let mut data_at = (clause_end..).find(|at| !blank(at)).unwrap_or(clause_end);
    // One line break before the data belongs to the statement; behind settings it may still be on its way.
    if !is_all && matches!(text.get(data_at..), None | Some([] | [b'\r'])) {
        return Ok(None);
    }
    if text.get(data_at) == Some(&b'\r') {
        data_at += 1;
    }
    if text.get(data_at) == Some(&b'\n') {
        data_at += 1;
    }
    if text.get(data_at) == Some(&b';') {
        return Err(Exception::syntax_error("You have excessive ';' symbol before data for INSERT"));
    }
    let format = String::from_utf8_lossy(name.text).trim_matches(['`', '"']).to_owned();
    Ok(Some(Parsed::Insert { head, format: Some(format), data_at }))
}

/// Where a SETTINGS clause ends: `SETTINGS name = value [, name = value]`.
fn settings_end(tokens: &[Token<'_>], text_length: usize, is_all: bool) -> Option<usize> {
    let mut at = 1;
    loop {
        let value_at = at + 2 + usize::from(tokens.get(at + 2).is_some_and(|token| token.is(b'-')));
        let mut value = tokens.get(value_at)?;
        let mut next_at = value_at + 1;
        // A decimal number is several tokens.
        while tokens.get(next_at).is_some_and(|token| token.start == value.end() && !token.is(b',')) {
            value = tokens.get(next_at)?;
            next_at += 1;
        }
        if value.end() == text_length && !is_all {
            return None;
        }
        if !tokens.get(next_at).is_some_and(|token| token.is(b',')) {
            return Some(value.end());
        }
        at = next_at + 1;
    }
}

fn is_beginning_of(text: &[u8], word: &[u8]) -> bool {
    word.get(..text.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(text))
}

fn unterminated(token: &Token<'_>) -> Exception {
    let position = token.start + 1;
    Exception::syntax_error(format_args!("Syntax error: failed at position {position}: quote or comment is not closed"))
}

/// Describes a whole statement, and refuses what a server refuses over HTTP or this one cannot do.
pub(super) fn describe(text: &[u8]) -> Result<Description, Exception> {
    let tokens: Vec<Token<'_>> = Lexer::new(text).collect();
    if let Some(token) = tokens.iter().find(|token| token.kind == Kind::Unterminated) {
        return Err(unterminated(token));
    }
    let end = tokens.iter().position(|token| token.is(b';')).unwrap_or(tokens.len());
    let (tokens, behind) = tokens.split_at(end);
    if let Some(next) = behind.iter().find(|token| !token.is(b';')) {
        let position = next.start + 1;
        return Err(Exception::syntax_error(format_args!(
            "Syntax error (Multi-statements are not allowed): failed at position {position}"
        )));
    }
    let [first, ..] = tokens else {
        return Err(Exception::syntax_error("Syntax error: failed at position 1 (end of query): Empty query"));
    };
    if has_pair(tokens, |a, b| a.is_keyword("INTO") && b.is_keyword("OUTFILE")) {
        return Err(Exception::outfile_not_allowed("INTO OUTFILE is not allowed"));
    }
    if first.is_keyword("INSERT") && has_pair(tokens, |a, b| a.is_keyword("input") && b.is(b'(')) {
        // The engine as a library answers success to this and writes nothing.
        let reason =
            "INSERT SELECT FROM input() is not supported here: insert the rows directly, or use a ClickHouse server";
        return Err(Exception::not_implemented(reason));
    }
    let is_whole = tokens.iter().any(|token| std::str::from_utf8(token.text).is_ok_and(makes_one_document));
    let is_select = starts_select(first) || first.is_keyword("FROM");
    let writes = tokens.iter().any(|token| token.is_keyword("INSERT"));
    let temporary = tokens.get(1).is_some_and(|token| token.is_keyword("TEMPORARY"));
    Ok(Description {
        format: named_format(tokens),
        is_streamable: is_select && !is_whole,
        is_read: (is_select || first.is(b'(')) && !writes,
        needs_session: first.is_keyword("SET") || first.is_keyword("USE") || (first.is_keyword("CREATE") && temporary),
    })
}

/// The format in `... FORMAT name [SETTINGS ...]` at the end of a statement.
fn named_format(tokens: &[Token<'_>]) -> Option<String> {
    let at = tokens.iter().rposition(|token| token.is_keyword("FORMAT"))?;
    let name = tokens.get(at + 1).filter(|name| name.is_name())?;
    let is_last = tokens.get(at + 2).is_none_or(|token| token.is_keyword("SETTINGS"));
    // `FORMAT` may also be a column's name: then nothing, or no name, follows it.
    (at > 0 && is_last).then(|| String::from_utf8_lossy(name.text).trim_matches(['`', '"']).to_owned())
}

fn has_pair(tokens: &[Token<'_>], is: impl Fn(&Token<'_>, &Token<'_>) -> bool) -> bool {
    tokens.windows(2).any(|pair| matches!(pair, [a, b] if is(a, b)))
}
