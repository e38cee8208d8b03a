//! `weir keys`: keys for clients, shown once and known to the configuration by their digest only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

use super::Failure;
use crate::terminal;

/// Makes keys for clients.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a new key, once, and the line of the configuration that lets it in.
    New,
}

/// Bytes of randomness in a key.
const KEY_BYTES: usize = 32;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::New => new(),
    }
}

fn new() -> Result<(), Failure> {
    let mut random = [0; KEY_BYTES];
    getrandom::fill(&mut random).map_err(|error| Failure::Failed(format!("no randomness for a key: {error}")))?;
    let key = format!("weir-{}", URL_SAFE_NO_PAD.encode(random));
    let digest: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    terminal::out(format_args!("key, for the client; it is shown only now:\n  {key}\n"));
    terminal::out(format_args!("line, under its [[clients]]:\n  key = {{ sha256 = \"{digest}\" }}\n"));
    terminal::out("While a key is replaced both are let in: key = [{ sha256 = \"old\" }, { sha256 = \"new\" }]");
    Ok(())
}
