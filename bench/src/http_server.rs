//! Accepts connections and hands their requests to a function.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::error::Error;

/// Serves HTTP/1.1 for ever, on a runtime like the gateway's: one worker per core that the process may use.
pub fn run<H, F, B>(listen: SocketAddr, handler: H) -> Result<(), Error>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("a runtime"))?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(listen).await.map_err(Error::io(format!("listening on {listen}")))?;
        loop {
            let (stream, _) = listener.accept().await.map_err(Error::io("accepting a connection"))?;
            stream.set_nodelay(true).map_err(Error::io("TCP_NODELAY"))?;
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let response = handler(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            // A connection that breaks is the other side's affair: the load notices a missing byte.
            // Frames that are ready together leave in one write.
            tokio::spawn(http1::Builder::new().writev(false).serve_connection(TokioIo::new(stream), service));
        }
    })
}
