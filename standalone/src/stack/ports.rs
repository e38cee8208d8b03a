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

/// An address for a child process to listen on. It is free now; whoever takes it first has it.
pub async fn address(usual: u16) -> Result<SocketAddr, Error> {
    let (listener, address) = bind(usual).await?;
    drop(listener);
    Ok(address)
}
