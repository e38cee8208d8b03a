//! Addresses on loopback: the usual port where it is free, else any.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use super::Error;

/// A listener on the usual port, or on a free one.
pub async fn bind(usual: u16) -> Result<(TcpListener, SocketAddr), Error> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = match TcpListener::bind(loopback(usual)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(loopback(0)).await.map_err(|cause| Error::Bind { address: loopback(0), cause })?,
    };
    let address = listener.local_addr().map_err(|cause| Error::Bind { address: loopback(0), cause })?;
    Ok((listener, address))
}

/// An address for a child process to listen on. Any free port, because between now and its start a usual one is what another
/// stack would take too.
pub async fn free_address() -> Result<SocketAddr, Error> {
    let (listener, address) = bind(0).await?;
    drop(listener);
    Ok(address)
}
