//! A TLS server in front of a plain one, which delays answers and counts requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// A self-signed certificate for 127.0.0.1.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    /// The certificate as text, for clients that must trust it.
    pub(crate) pem: String,
}

/// The protocols that a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2, and HTTP/1.1 for other clients.
    Http2,
}

/// A TLS server that forwards every request to a plain server.
pub(crate) struct Gateway {
    port: u16,
    counted: Arc<Counted>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Counted {
    connections: AtomicU64,
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Requests in flight now, and the most there ever were.
    under_way: AtomicU64,
    peak: AtomicU64,
}

/// The traffic of a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Handshakes.
    pub(crate) connections: u64,
    /// Requests.
    pub(crate) requests: u64,
    /// Bytes of the requests' bodies.
    pub(crate) sent: u64,
    /// Bytes of the answers' bodies.
    pub(crate) received: u64,
    /// The most requests in flight at once.
    pub(crate) peak: u64,
}

impl Authority {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        Ok(Self {
            certificate: made.cert.der().clone(),
            key: PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()),
            pem: made.cert.pem(),
        })
    }
}

impl Gateway {
    /// Opens a gateway to `upstream` (`http://127.0.0.1:1234`) that delays each answer by `delay`.
    pub(crate) async fn open(
        authority: &Authority,
        upstream: &str,
        offer: Offer,
        delay: Duration,
    ) -> anyhow::Result<Self> {
        let mut tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![authority.certificate.clone()], authority.key.clone_key().into())?;
        tls.alpn_protocols = match offer {
            Offer::Http1 => vec![b"http/1.1".to_vec()],
            Offer::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let counted = Arc::new(Counted::default());
        let forward = Arc::new(Forward {
            upstream: upstream.parse::<Uri>().context("not an address")?,
            delay,
            client: Client::builder(TokioExecutor::new()).build_http(),
            counted: Arc::clone(&counted),
        });
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Like other servers: an answer in several pieces must not wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
                let (acceptor, forward) = (acceptor.clone(), Arc::clone(&forward));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    forward.counted.connections.fetch_add(1, Ordering::Relaxed);
                    let service = service_fn(move |request| {
                        let forward = Arc::clone(&forward);
                        async move { forward.answer(request).await }
                    });
                    // An error here means that the client closed the connection.
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { port, counted, server })
    }

    /// The address of the gateway.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The traffic since the last call. Connections that stay open count once.
    pub(crate) fn take(&self) -> Traffic {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let Counted { connections, requests, sent, received, peak, .. } = &*self.counted;
        Traffic {
            connections: take(connections),
            requests: take(requests),
            sent: take(sent),
            received: take(received),
            peak: take(peak),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Forward {
    upstream: Uri,
    delay: Duration,
    client: Client<HttpConnector, Full<Bytes>>,
    counted: Arc<Counted>,
}

impl Forward {
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let counted = &self.counted;
        counted.requests.fetch_add(1, Ordering::Relaxed);
        let under_way = counted.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        counted.peak.fetch_max(under_way, Ordering::Relaxed);
        let answer = self.forward(request).await;
        counted.under_way.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    async fn forward(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let delay = tokio::time::sleep(self.delay);
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        self.counted.sent.fetch_add(body.len() as u64, Ordering::Relaxed);
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = Uri::builder()
            .scheme("http")
            .authority(self.upstream.authority().context("no host")?.clone())
            .path_and_query(path)
            .build()?;
        head.version = http::Version::HTTP_11;
        head.headers.remove(header::HOST);
        let (mut head, body) = self.client.request(Request::from_parts(head, Full::new(body))).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.counted.received.fetch_add(body.len() as u64, Ordering::Relaxed);
        head.version = http::Version::default();
        head.headers.remove(header::TRANSFER_ENCODING);
        head.headers.remove(header::CONNECTION);
        delay.await;
        Ok(Response::from_parts(head, Full::new(body)))
    }
}
