//! The three services as tasks of this process, stopped in the order in which events flow.

use std::fmt;
use std::time::Duration;

use schemas::config::Config;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Error;

/// How long a stopped service may take beyond its own limits.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The sockets of all services, bound before anything runs.
#[derive(Debug)]
pub struct Listeners {
    /// `[gateway] listen`
    pub clients: TcpListener,
    /// `[gateway] ops_listen`
    pub gateway_ops: TcpListener,
    /// `[recorder] ops_listen`
    pub recorder_ops: TcpListener,
    /// `[analytics] listen`
    pub analytics: TcpListener,
}

impl Listeners {
    /// Binds what the configuration says.
    pub async fn bind(config: &Config) -> Result<Self, Error> {
        let bind = async |address| TcpListener::bind(address).await.map_err(|cause| Error::Bind { address, cause });
        Ok(Self {
            clients: bind(config.gateway.listen).await?,
            gateway_ops: bind(config.gateway.ops_listen).await?,
            recorder_ops: bind(config.recorder.ops_listen).await?,
            analytics: bind(config.analytics.listen).await?,
        })
    }
}

/// The running services.
#[derive(Debug)]
pub struct Services {
    gateway: Service,
    recorder: Service,
    analytics: Service,
    gateway_grace: Duration,
}

#[derive(Debug)]
struct Service {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<Result<(), String>>,
}

impl Services {
    /// Starts them. With `reload` the gateway follows changes of the file that `config` is from.
    pub fn start(config: &Config, reload: Option<gateway::Reload>, listeners: Listeners) -> Self {
        let Listeners { clients, gateway_ops, recorder_ops, analytics } = listeners;
        let sockets = gateway::Listeners { clients, ops: gateway_ops };
        Self {
            gateway: Service::start("gateway", |stop| gateway::run_following(config.clone(), reload, sockets, stop)),
            recorder: Service::start("recorder", |stop| recorder::run(config.clone(), recorder_ops, stop)),
            analytics: Service::start("analytics", |stop| analytics::run(config.clone(), analytics, stop)),
            // Running streams, and then the ledger, may each take that long.
            gateway_grace: config.gateway.shutdown_timeout.0 * 2,
        }
    }

    /// Waits until one of them ends by itself, which none should.
    pub async fn failed(&mut self) -> Error {
        let (name, ended) = tokio::select! {
            ended = &mut self.gateway.task => ("gateway", ended),
            ended = &mut self.recorder.task => ("recorder", ended),
            ended = &mut self.analytics.task => ("analytics", ended),
        };
        let reason = match ended {
            Ok(Ok(())) => "it ended without being asked to".to_owned(),
            Ok(Err(reason)) => reason,
            Err(panicked) => panicked.to_string(),
        };
        Error::Service { name, reason }
    }

    /// Stops them: the gateway first, so that the recorder can still write what the gateway ships.
    pub async fn stop(self) {
        self.gateway.stop(self.gateway_grace + STOP_TIMEOUT).await;
        self.recorder.stop(STOP_TIMEOUT).await;
        self.analytics.stop(STOP_TIMEOUT).await;
    }
}

impl Service {
    fn start<F, E>(name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let stop = CancellationToken::new();
        let running = run(stop.clone());
        let task = tokio::spawn(async move { running.await.map_err(|error| error.to_string()) });
        Self { name, stop, task }
    }

    async fn stop(mut self, limit: Duration) {
        if self.task.is_finished() {
            return;
        }
        self.stop.cancel();
        match timeout(limit, &mut self.task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(reason))) => tracing::warn!(name = self.name, reason, "stopped with an error"),
            Ok(Err(panicked)) => tracing::error!(name = self.name, %panicked, "ended in a panic"),
            Err(_) => {
                tracing::warn!(name = self.name, "does not stop; it is abandoned");
                self.task.abort();
            }
        }
    }
}
