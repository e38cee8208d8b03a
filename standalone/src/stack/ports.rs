//! Addresses on loopback: the usual port where it is free, else any.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

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

/// A port of the loopback interface that nobody else is given while this value lives, for a process that comes back on it.
///
/// The socket is bound but never listens, so the kernel hands the port to no other process and refuses connections to it,
/// while a process that asks for exactly this port, with `SO_REUSEADDR` like every server, gets it.
#[derive(Debug)]
pub struct ReservedPort {
    address: SocketAddr,
    _socket: TcpSocket,
}

impl ReservedPort {
    /// Reserves a free port.
    pub fn new() -> Result<Self, Error> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let reserve = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(any)?;
            Ok((socket.local_addr()?, socket))
        };
        let (address, _socket) = reserve().map_err(|cause| Error::Bind { address: any, cause })?;
        Ok(Self { address, _socket })
    }

    /// The address to listen on or connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
