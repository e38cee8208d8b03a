//! What is read of a Messages request.

use crate::formats::request::{Body, InvalidBody, Peeked};

pub(crate) fn peek(body: &[u8]) -> Result<Peeked, InvalidBody> {
    let body = Body::parse(body)?;
    let user = body.members.object("metadata").and_then(|metadata| metadata.text("user_id"));
    let max_output_tokens = body.members.count("max_tokens");
    Ok(Peeked { user: user.map(Into::into), max_output_tokens, ..body.peek()? })
}
