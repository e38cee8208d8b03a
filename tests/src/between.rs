//! What stands between a gateway and a provider: an end of TLS, a proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Speaks TLS on one side and passes what is inside to a provider: HTTP/1.1, or HTTP/2 where both have agreed on it.
pub struct TlsEnd {
    address: SocketAddr,
    certificate: String,
    agreed: Arc<Mutex<Vec<Option<String>>>>,
    _end: DropGuard,
}

impl TlsEnd {
    /// Starts it in front of `provider`, with the protocols that it agrees to (`h2`, `http/1.1`), the best first.
    pub async fn start(provider: SocketAddr, protocols: &[&str]) -> Self {
        crate::caller::install_tls();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
        let mut config = config.expect("a certificate and its key");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let (acceptor, agreed) = (TlsAcceptor::from(Arc::new(config)), Arc::<Mutex<Vec<_>>>::default());
        let (address, end) = listen({
            let agreed = Arc::clone(&agreed);
            move |stream| pass(acceptor.clone(), stream, provider, Arc::clone(&agreed))
        })
        .await;
        Self { address, certificate: made.cert.pem(), agreed, _end: end }
    }

    /// Its `https://` address.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its certificate as PEM, for those who are to trust it.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The protocol that was agreed on, for each connection so far.
    pub fn agreed(&self) -> Vec<Option<String>> {
        self.agreed.lock().expect("no panic").clone()
    }
}

async fn pass(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    provider: SocketAddr,
    agreed: Arc<Mutex<Vec<Option<String>>>>,
) -> std::io::Result<()> {
    let mut inside = acceptor.accept(stream).await?;
    let protocol = inside.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    agreed.lock().expect("no panic").push(protocol);
    let mut plain = TcpStream::connect(provider).await?;
    copy_bidirectional(&mut inside, &mut plain).await?;
    Ok(())
}

/// A proxy as companies have them: tunnels by `CONNECT`, and requests with an absolute address.
pub struct ForwardProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _end: DropGuard,
}

impl ForwardProxy {
    /// Starts it.
    pub async fn start() -> Self {
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let (address, end) = listen({
            let asked = Arc::clone(&asked);
            move |stream| forward(stream, Arc::clone(&asked))
        })
        .await;
        Self { address, asked, _end: end }
    }

    /// Its `http://` address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first line of each connection so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn forward(mut client: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let line = text.lines().next().unwrap_or_default().to_owned();
    asked.lock().expect("no panic").push(line.clone());
    let target = line.split(' ').nth(1).unwrap_or_default();
    let is_tunnel = line.starts_with("CONNECT ");
    let host = target.strip_prefix("http://").unwrap_or(target).split('/').next().unwrap_or_default();
    let mut server = TcpStream::connect(host).await?;
    match is_tunnel {
        true => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
        // A server must take an absolute address as it is (RFC 9112, 3.2.2).
        false => server.write_all(&head).await?,
    }
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Listens on a free port until the guard is dropped, and takes every connection to `serve`.
async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> (SocketAddr, DropGuard)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the port just bound");
    let end = CancellationToken::new();
    let ended = end.clone();
    tokio::spawn(ended.run_until_cancelled_owned(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A connection that fails is the gateway's to notice.
            tokio::spawn(serve(stream));
        }
    }));
    (address, end.drop_guard())
}
