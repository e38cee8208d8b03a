//! Primaries that break on the wire, before any HTTP: sockets that reset, and sockets that never answer.

use std::sync::Arc;
use std::time::Instant;

use tests::answers::openai_events;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Asked, Log, PRIMARY};

/// What such a primary does.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Resets the first so many connections, and answers properly then.
    Resets(usize),
    /// Takes the request, and says nothing for ever.
    Silent,
}

/// The fault of a scenario whose primary is one of these.
pub fn fault(scenario: &str) -> Option<Fault> {
    match scenario {
        "reset" => Some(Fault::Resets(1)),
        "reset-for-ever" => Some(Fault::Resets(usize::MAX)),
        "no-response" => Some(Fault::Silent),
        _ => None,
    }
}

/// Starts one, and returns its URL.
pub async fn serve(fault: Fault, scenario: &'static str, log: Log) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut count = 0;
        while let Ok((connection, _)) = listener.accept().await {
            count += 1;
            tokio::spawn(answer(fault, count, connection, (scenario, Arc::clone(&log))));
        }
    });
    url
}

async fn answer(fault: Fault, nth: usize, mut connection: TcpStream, (scenario, log): (&str, Log)) {
    let mut begun = [0; 64];
    let _ = connection.read(&mut begun).await;
    let answers = matches!(fault, Fault::Resets(count) if nth > count);
    log.lock().unwrap().push(Asked {
        endpoint: format!("{scenario}-primary"),
        model: "primary-model".to_owned(),
        status: answers.then_some(200),
        at: Instant::now(),
    });
    match fault {
        Fault::Silent => {
            // Until the other side leaves.
            while connection.read(&mut begun).await.is_ok_and(|count| count > 0) {}
        }
        // Closed with bytes unread: the system answers the rest with a reset.
        Fault::Resets(_) if !answers => drop(connection),
        Fault::Resets(_) => {
            let mut body = vec![0; 64 << 10];
            let _ = connection.read(&mut body).await;
            let events = openai_events("primary-model", PRIMARY, &["one ", "two"], true).concat();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let _ = connection.write_all(&[head.as_bytes(), &events].concat()).await;
            let _ = connection.shutdown().await;
        }
    }
}
