//! The root certificates and the TLS configuration of this process, read and built once for all its HTTP clients.
//!
//! By default each client reads the certificates of some 140 authorities again. Four such clients took four fifths of
//! the instructions before a function's first event. This crate does not know which servers are called.
//!
//! ```
//! let client = tls::client(tls::Offer::Http2).build()?;
//! # Ok::<(), reqwest::Error>(())
//! ```

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// The HTTP versions that a client offers. The server chooses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Only HTTP/1.1.
    Http1,
    /// HTTP/2, and HTTP/1.1 for servers without it.
    Http2,
}

/// Where the system keeps its root certificates in one file: on Amazon Linux, where the functions run, and on Debian.
const BUNDLES: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];

/// `None` if no root certificate was found.
static CONFIGURATION: LazyLock<Option<ClientConfig>> = LazyLock::new(|| {
    let roots = authorities();
    let versions = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let versions = versions.with_safe_default_protocol_versions().ok()?;
    (!roots.is_empty()).then(|| versions.with_root_certificates(roots).with_no_client_auth())
});

/// Reads the system's root certificates, or those in the file that `SSL_CERT_FILE` names.
fn authorities() -> RootCertStore {
    let named = |name| env::var_os(name).filter(|path| !path.is_empty());
    let bundle = match (named("SSL_CERT_FILE"), named("SSL_CERT_DIR")) {
        (Some(file), None) => File::open(file).ok(),
        (None, None) => BUNDLES.iter().find_map(|file| File::open(file).ok()),
        (_, Some(_)) => None,
    };
    let mut roots = RootCertStore::empty();
    if let Some(bundle) = bundle {
        read(BufReader::new(bundle), &mut roots);
    }
    if roots.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        for error in found.errors {
            tracing::warn!(%error, "an authority can't be read");
        }
        roots.add_parsable_certificates(found.certs);
    }
    roots
}

/// Adds the certificates of a bundle. Reads one at a time, because touching a page of memory costs as much as reading a
/// certificate. The reader of rustls keeps all of them in memory and needs three times the instructions.
fn read(mut bundle: impl BufRead, roots: &mut RootCertStore) {
    let (mut line, mut text, mut certificate) = (Vec::new(), Vec::new(), Vec::new());
    while bundle.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        match line.trim_ascii_end() {
            b"-----BEGIN CERTIFICATE-----" => text.clear(),
            b"-----END CERTIFICATE-----" => {
                certificate.clear();
                if STANDARD.decode_vec(&text, &mut certificate).is_ok() {
                    // A certificate that rustls cannot use is skipped. The others still count.
                    let _ = roots.add(CertificateDer::from(certificate.as_slice()));
                }
            }
            line => text.extend_from_slice(line),
        }
        line.clear();
    }
}

/// Starts building a client. If no root certificate was found, building it fails with an error that says so.
pub fn client(offer: Offer) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    let builder = match offer {
        Offer::Http1 => builder.http1_only(),
        Offer::Http2 => builder,
    };
    match CONFIGURATION.clone() {
        Some(mut tls) => {
            tls.alpn_protocols = match offer {
                Offer::Http1 => vec![b"http/1.1".to_vec()],
                Offer::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            };
            builder.tls_backend_preconfigured(tls)
        }
        // Without our configuration, reqwest looks for root certificates itself and reports that it found none.
        None => builder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_skips_text_between_certificates_and_broken_ones() {
        let made = || rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap().cert;
        let (one, two, three) = (made(), made(), made());
        let crlf = two.pem().replace('\n', "\r\n");
        let broken = three.pem().replace("MII", "M!I");
        let bundle = format!("# One\n{}\n# Two: Zwölf\n{crlf}{broken}-----BEGIN CERTIFICATE-----\nMII", one.pem());
        let mut found = RootCertStore::empty();
        read(bundle.as_bytes(), &mut found);
        let mut expected = RootCertStore::empty();
        expected.add_parsable_certificates([one.der().clone(), two.der().clone()]);
        assert_eq!(expected.len(), 2);
        assert_eq!(found.roots, expected.roots);
    }
}
