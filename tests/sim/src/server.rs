//! A listener on 127.0.0.1 that runs as long as the value that owns it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Dropping it closes the listener and cuts every open connection.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on a port of its own. Closes a connection that was idle for `idle`, as a web server in front
    /// would.
    pub(crate) async fn routes(router: Router, idle: Duration) -> std::io::Result<Self> {
        Self::accept(move |stream| {
            let service = TowerToHyperService::new(router.clone());
            async move { serve(stream, idle, service).await }
        })
        .await
    }

    /// Serves each connection with the future that `connection` makes for it.
    pub(crate) async fn accept<C, F>(connection: C) -> std::io::Result<Self>
    where
        C: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            // When this task is aborted, the set is dropped, and with it every connection.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => {
                            // Small answers must not wait for acknowledgements of earlier ones.
                            let _ = stream.set_nodelay(true);
                            connections.spawn(connection(stream));
                        }
                        // Most likely no file descriptors are left: wait until an open connection finishes.
                        Err(_) => { connections.join_next().await; }
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, accepting })
    }

    /// `http://127.0.0.1:<port>`, without a trailing slash.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves HTTP/1.1 on one connection until either side closes it, or it was idle for `idle`.
pub(crate) async fn serve<S, E>(stream: TcpStream, idle: Duration, service: S)
where
    S: hyper::service::Service<http::Request<Incoming>, Response = http::Response<Body>, Error = E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // hyper starts the header time-out when it starts to wait for the next request, so it is also the idle time-out.
    // Errors of the connection are ignored: the client has noticed them too.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
