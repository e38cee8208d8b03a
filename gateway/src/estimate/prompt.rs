//! What a request asks for, as far as it makes tokens: the text of its messages and tools, and how many pictures.

use bytes::Bytes;
use memchr::memchr2;
use schemas::outcome::Format;

use super::sample::Sample;
use super::sampled;
use super::tokens::Scheme;

/// A request body is kept as it is, without a copy, up to this size. A larger one is read at once and let go, so that
/// no open stream holds megabytes.
const KEPT_MAX_BYTES: usize = 64 << 10;

/// A text that the model does not read as such and that is longer than this is data: a picture, a signature.
const SHORT_BYTES: usize = 64;

/// How large a prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its tokens, estimated.
    pub tokens: u64,
    /// No fewer than it has, but for what is only referred to: every token of a text has a byte.
    pub most_tokens: u64,
}

/// What an estimate needs of a request.
#[derive(Clone, Debug)]
pub struct Prompt {
    format: Format,
    text: Text,
}

#[derive(Clone, Debug)]
enum Text {
    Body(Bytes),
    Digest(Box<Digest>),
}

impl Prompt {
    /// Keeps the body; nothing is read yet.
    pub fn new(format: Format, body: Bytes) -> Self {
        Self { format, text: Text::Body(body) }
    }

    /// Reads a large body now, so that it can be let go.
    pub fn compact(self) -> Self {
        match &self.text {
            Text::Body(body) if body.len() > KEPT_MAX_BYTES => {
                let digest = super::off_the_worker(|| Digest::of(self.format, body));
                Self { text: Text::Digest(Box::new(digest)), ..self }
            }
            _ => self,
        }
    }

    /// How large it is. Costs a reading of the body, and a millisecond of counting.
    pub fn size(self, scheme: Scheme) -> Size {
        let digest = self.digest();
        Size { tokens: digest.tokens(scheme), most_tokens: digest.most_tokens() }
    }

    pub(super) fn digest(self) -> Digest {
        match self.text {
            Text::Body(body) => Digest::of(self.format, &body),
            Text::Digest(digest) => *digest,
        }
    }
}

/// A request, as far as it makes tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    format: Format,
    pub(super) sample: Sample,
    pub(super) chars: u64,
    pub(super) messages: u64,
    pub(super) pictures: u64,
    pub(super) has_tools: bool,
    /// Of the whole body.
    pub(super) bytes: u64,
    /// Of data that is no text: pictures, signatures.
    pub(super) data_bytes: u64,
}

impl Digest {
    pub(super) fn tokens(&self, scheme: Scheme) -> u64 {
        let text = if self.chars == 0 { 0 } else { sampled(scheme, &self.sample, self.chars) };
        text.saturating_add(self.frames()).max(1)
    }

    fn most_tokens(&self) -> u64 {
        self.bytes.saturating_sub(self.data_bytes).saturating_add(self.frames())
    }

    /// Tokens of what is no text.
    fn frames(&self) -> u64 {
        // The frames are the vendors' documented ones: OpenAI puts each message's role between control tokens and
        // primes the answer, Anthropic adds instructions of its own to a request with tools. A picture's price depends
        // on its size, which only a decoder could tell: one of a megapixel is assumed.
        let (start, message, tools, picture) = match self.format {
            Format::OpenaiChat | Format::OpenaiResponses => (3, 4, 0, 765),
            Format::Anthropic => (3, 4, 346, 1334),
            Format::Gemini => (0, 0, 0, 258),
        };
        let tools = if self.has_tools { tools } else { 0 };
        let frames = start + tools + self.messages.saturating_mul(message);
        frames.saturating_add(self.pictures.saturating_mul(picture))
    }

    /// Reads a request body. Whatever it holds, something is made of it: it passed as a request.
    pub(super) fn of(format: Format, body: &[u8]) -> Self {
        let mut digest = Self {
            format,
            sample: Sample::default(),
            chars: 0,
            messages: 0,
            pictures: 0,
            has_tools: false,
            bytes: body.len() as u64,
            data_bytes: 0,
        };
        let mut walk = Walk { json: body, depth: 0, section: Section::Other, key: b"" };
        while let Some(token) = walk.next() {
            digest.add(&walk, token);
        }
        digest
    }

    fn add(&mut self, walk: &Walk<'_>, token: Token<'_>) {
        match (token, walk.section) {
            (_, Section::Other) => {}
            (Token::Object, section) => self.messages += u64::from(section == Section::Talk && walk.depth == 3),
            (Token::Key(key), Section::Talk) => self.pictures += u64::from(is_picture_key(key)),
            (Token::Key(key), Section::Tools) => {
                self.has_tools = true;
                self.add_text(key);
            }
            (Token::Text(text), section) => {
                if walk.key == b"type" && matches!(text, b"image" | b"image_url" | b"input_image") {
                    self.pictures += u64::from(section == Section::Talk);
                } else if !is_silent(walk.key) {
                    self.add_text(text);
                } else if is_data(text) {
                    self.data_bytes += text.len() as u64;
                }
            }
        }
    }

    fn add_text(&mut self, spelt: &[u8]) {
        if self.chars > 0 {
            self.chars += 1;
            self.sample.push(" ");
        }
        self.chars += crate::formats::spelt_chars(spelt);
        self.sample.push_spelt(spelt);
    }
}

/// What a member of the request is, to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// What was said: texts count, names of members do not.
    Talk,
    /// Schemas: names of members count too.
    Tools,
    /// Settings.
    Other,
}

fn section(key: &[u8]) -> Section {
    match key {
        b"messages"
        | b"system"
        | b"input"
        | b"instructions"
        | b"prompt"
        | b"contents"
        | b"systemInstruction"
        | b"system_instruction" => Section::Talk,
        b"tools" | b"functions" | b"response_format" | b"text" | b"output_format" => Section::Tools,
        _ => Section::Other,
    }
}

/// Members whose texts the model does not read: kinds, names of things elsewhere, data that is no text.
fn is_silent(key: &[u8]) -> bool {
    matches!(
        key,
        b"type"
            | b"role"
            | b"id"
            | b"call_id"
            | b"tool_call_id"
            | b"tool_use_id"
            | b"url"
            | b"image_url"
            | b"file_id"
            | b"file_data"
            | b"fileUri"
            | b"file_uri"
            | b"data"
            | b"format"
            | b"detail"
            | b"media_type"
            | b"mime_type"
            | b"mimeType"
            | b"signature"
            | b"thoughtSignature"
            | b"thought_signature"
            | b"encrypted_content"
            | b"status"
            | b"ttl"
    )
}

/// Whether a text that is not read as such is data indeed, and not a document in words: those have spaces, or letters
/// beyond ASCII.
fn is_data(text: &[u8]) -> bool {
    text.len() > SHORT_BYTES && text.iter().take(256).all(u8::is_ascii_graphic)
}

fn is_picture_key(key: &[u8]) -> bool {
    matches!(key, b"inlineData" | b"inline_data")
}

/// Goes over a JSON text once, without building anything.
struct Walk<'a> {
    json: &'a [u8],
    depth: u32,
    /// Of the outermost object's member at hand.
    section: Section,
    /// The last name of a member.
    key: &'a [u8],
}

enum Token<'a> {
    Object,
    Key(&'a [u8]),
    Text(&'a [u8]),
}

impl<'a> Walk<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let (byte, rest) = self.json.split_first()?;
            self.json = rest;
            match byte {
                b'{' => {
                    self.depth += 1;
                    return Some(Token::Object);
                }
                b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b'"' => return self.string(),
                _ => {}
            }
        }
    }

    /// A string, from after its opening quote.
    fn string(&mut self) -> Option<Token<'a>> {
        let mut length = 0;
        loop {
            length += memchr2(b'"', b'\\', self.json.get(length..)?)?;
            if self.json.get(length) == Some(&b'"') {
                break;
            }
            length += 2;
        }
        let (text, rest) = self.json.split_at_checked(length)?;
        self.json = rest.get(1..)?;
        if !self.json.trim_ascii_start().starts_with(b":") {
            return Some(Token::Text(text));
        }
        self.key = text;
        if self.depth == 1 {
            self.section = section(text);
        }
        Some(Token::Key(text))
    }
}
