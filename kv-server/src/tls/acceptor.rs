//! Certificate, key and authorities, checked before anybody connects.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kv_core::tls::{read_certificates, read_key};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};

use super::{TlsError, TlsStream};
use crate::config::{AuthClients, TlsConfig};

/// What every TLS connection begins with.
#[derive(Debug)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// Reads the files and checks that they fit.
    ///
    /// # Errors
    /// When they don't: clients would only find out one by one.
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, TlsError> {
        let file = |setting| move |cause| TlsError::File { setting, cause };
        let chain = read_certificates(&config.cert_file).map_err(file("tls-cert-file"))?;
        check_validity(&chain, &config.cert_file)?;
        let key = read_key(&config.key_file).map_err(file("tls-key-file"))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match client_verifier(config, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key).map_err(|cause| match cause {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                certificate: config.cert_file.clone(),
                key: config.key_file.clone(),
            },
            cause => TlsError::Certificate { path: config.cert_file.clone(), cause },
        })?;
        Ok(Self(Arc::new(config)))
    }

    /// The stream of a connection that has been accepted; its handshake is still to come.
    pub(crate) fn accept(&self, socket: TcpStream) -> Result<TlsStream, rustls::Error> {
        TlsStream::new(socket, Arc::clone(&self.0))
    }
}

/// Whether our own certificate is valid today. Verifying it tells: the dates are looked at before
/// the authority, for which any will do that signs nothing.
fn check_validity(chain: &[CertificateDer<'_>], path: &Path) -> Result<(), TlsError> {
    let unusable = |cause: webpki::Error| TlsError::Certificate {
        path: path.to_owned(),
        cause: rustls::Error::General(cause.to_string()),
    };
    let certificate = webpki::EndEntityCert::try_from(&chain[0]).map_err(unusable)?;
    let verified = certificate.verify_for_usage(
        ring::default_provider().signature_verification_algorithms.all,
        &[],
        &chain[1..],
        UnixTime::now(),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    );
    let path = path.to_owned();
    let between = |earlier: UnixTime, later: UnixTime| {
        Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
    };
    match verified.err() {
        Some(webpki::Error::CertExpired { time, not_after }) => {
            Err(TlsError::Expired { path, since: between(not_after, time) })
        }
        Some(webpki::Error::CertNotValidYet { time, not_before }) => {
            Err(TlsError::NotYetValid { path, left: between(time, not_before) })
        }
        // Who has signed it is for the client to judge.
        _ => Ok(()),
    }
}

/// Who checks the certificates of clients, if anybody does.
fn client_verifier(
    config: &TlsConfig,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if config.auth_clients == AuthClients::No {
        return Ok(None);
    }
    let path = config.ca_cert_file.as_ref().ok_or(TlsError::NoAuthority)?;
    let unusable = |cause: String| TlsError::Authority { path: path.clone(), cause };
    let mut roots = RootCertStore::empty();
    let file = |cause| TlsError::File { setting: "tls-ca-cert-file", cause };
    for authority in read_certificates(path).map_err(file)? {
        roots.add(authority).map_err(|error| unusable(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = match config.auth_clients {
        AuthClients::Optional => verifier.allow_unauthenticated(),
        _ => verifier,
    };
    Ok(Some(verifier.build().map_err(|error| unusable(error.to_string()))?))
}
