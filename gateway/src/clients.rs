//! Who may send requests: keys are kept and compared as SHA-256 digests only.

use std::collections::{BTreeMap, HashMap};

use schemas::config::{Client, ClientKey, Mistake, Mistakes, glob_matches};
use schemas::outcome::Format;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::hashed::Hashed;
use crate::routing::Requirements;

/// A client that a key was recognised as.
#[derive(Debug)]
pub struct Caller {
    /// Its place in the configuration, and in [`crate::limits::Limits`].
    pub id: usize,
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    models: Vec<String>,
    formats: Vec<String>,
    /// What its requests need, whatever they look like.
    pub(crate) requirements: Requirements,
}

/// All clients, by the digest of their keys.
#[derive(Debug)]
pub struct Clients {
    callers: Vec<Caller>,
    /// By the first eight bytes of the digest, which are as good as any hash: no two keys of a configuration share them.
    keys: HashMap<u64, Key, Hashed>,
}

/// A key, and whose it is.
#[derive(Debug)]
struct Key {
    digest: [u8; 32],
    caller: usize,
}

impl Clients {
    /// # Errors
    /// When a secret cannot be had, or two clients share a key.
    pub fn build(clients: &[Client]) -> Result<Self, Mistakes> {
        let (mut callers, mut mistakes) = (Vec::new(), Vec::new());
        let mut keys: HashMap<u64, Key, Hashed> = HashMap::default();
        for (at, client) in clients.iter().enumerate() {
            for key in &client.keys {
                let fail = |message: String| Mistake { path: format!("clients[{at}].key"), message };
                match digest_of(key) {
                    Ok(digest) => {
                        let key = Key { digest, caller: at };
                        if keys.insert(first_of(&digest), key).is_some_and(|other| other.caller != at) {
                            mistakes.push(fail("another client has the same key: give each its own".to_owned()));
                        }
                    }
                    Err(message) => mistakes.push(fail(message)),
                }
            }
            callers.push(Caller {
                id: at,
                name: client.name.clone(),
                tags: client.tags.clone(),
                models: client.models.clone(),
                formats: client.formats.clone(),
                requirements: client
                    .require_capabilities
                    .iter()
                    .fold(Requirements::default(), |all, one| all.and(*one)),
            });
        }
        if mistakes.is_empty() { Ok(Self { callers, keys }) } else { Err(Mistakes(mistakes)) }
    }

    /// Recognises a key. The look-up is by digest, so its timing tells nothing about any key.
    pub fn recognise(&self, key: &str) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let known = self.keys.get(&first_of(&digest))?;
        bool::from(known.digest.ct_eq(&digest)).then(|| self.callers.get(known.caller)).flatten()
    }
}

/// The first eight bytes of a digest.
fn first_of(digest: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn digest_of(key: &ClientKey) -> Result<[u8; 32], String> {
    match key {
        ClientKey::Sha256(digest) => Ok(*digest),
        ClientKey::Secret(secret) => Ok(Sha256::digest(secret.resolve()?.expose().as_bytes()).into()),
    }
}

impl Caller {
    /// Whether this client may use the model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        self.models.iter().any(|glob| glob_matches(glob, model))
    }

    /// Whether this client may speak the dialect.
    pub(crate) fn may_speak(&self, format: Format) -> bool {
        self.formats.iter().any(|glob| glob_matches(glob, format.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use schemas::config::Config;

    use super::*;

    fn clients(text: &str) -> Result<Clients, Mistakes> {
        Clients::build(&Config::parse(text, &BTreeMap::new()).unwrap().clients)
    }

    #[test]
    fn keys_are_recognised_by_digest_also_while_one_is_rotated() {
        // sha256("secret-1")
        let digest: String = Sha256::digest(b"secret-1").iter().map(|byte| format!("{byte:02x}")).collect();
        let text =
            format!("[[clients]]\nname = \"a\"\nkey = [{{ sha256 = \"{digest}\" }}, {{ plain = \"secret-2\" }}]");
        let clients = clients(&text).unwrap();
        for key in ["secret-1", "secret-2"] {
            assert_eq!(clients.recognise(key).unwrap().name, "a");
        }
        assert!(clients.recognise(&digest).is_none() && clients.recognise("").is_none());
    }

    #[test]
    fn two_clients_cannot_share_a_key() {
        let text =
            "[[clients]]\nname = \"a\"\nkey = { plain = \"x\" }\n[[clients]]\nname = \"b\"\nkey = { plain = \"x\" }";
        let mistakes = clients(text).unwrap_err();
        assert_eq!(mistakes.0[0].path, "clients[1].key");
        assert!(!mistakes.to_string().contains("\"x\""));
    }
}
