//! Ports for processes that must come back on the same one.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of the loopback interface that nobody else is given while this value lives.
///
/// The socket is bound but never listens, so the kernel hands the port to no other process and refuses connections to
/// it, while a process that asks for exactly this port, with `SO_REUSEADDR` like every server, gets it.
pub struct ReservedPort {
    address: SocketAddr,
    _socket: TcpSocket,
}

impl ReservedPort {
    /// Reserves a free port.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("SO_REUSEADDR");
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port on the loopback interface");
        Self { address: socket.local_addr().expect("the port just bound"), _socket: socket }
    }

    /// The address to listen on or connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Default for ReservedPort {
    fn default() -> Self {
        Self::new()
    }
}
