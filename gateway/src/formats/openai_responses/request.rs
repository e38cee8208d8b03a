//! What is read of a Responses request. Usage comes in the terminal event without being asked for.

use crate::formats::request::{Body, InvalidBody, Peeked};

pub(crate) fn peek(body: &[u8]) -> Result<Peeked, InvalidBody> {
    let body = Body::parse(body)?;
    let user = body.members.text("safety_identifier").or_else(|| body.members.text("user"));
    let max_output_tokens = body.members.count("max_output_tokens");
    Ok(Peeked { user: user.map(Into::into), max_output_tokens, ..body.peek()? })
}
