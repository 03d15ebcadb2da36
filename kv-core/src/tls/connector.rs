//! What a client trusts, and what it shows of itself.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, InconsistentKeys, RootCertStore,
    SignatureScheme,
};

use super::{PemError, Session, read_certificates, read_key};

/// TLS as a client wants it. Files are in PEM form.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The authorities that are trusted; `None` trusts those of the system.
    pub ca_cert: Option<PathBuf>,
    /// Our own certificate, where the server asks for one.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    pub key: Option<PathBuf>,
    /// Take any certificate of the server: the connection is encrypted, but to whom is not known.
    pub insecure: bool,
    /// The name that the server's certificate must have; `None` is the host that is connected to.
    pub server_name: Option<String>,
}

/// Options that make no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsOptionsError {
    /// A file is of no use.
    #[error(transparent)]
    File(#[from] PemError),
    /// A certificate without a key, or the other way round.
    #[error("a certificate and its private key go together: give both or neither")]
    Half,
    /// They were not made together.
    #[error("the key in {} is not the one of the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// No file was given, and the system has none.
    #[error("this system has no authorities to trust: name the file with the server's")]
    NoAuthorities,
    /// No DNS name and no IP address.
    #[error("'{0}' is no server's name: write a DNS name or an IP address")]
    ServerName(String),
    /// Something else in a file is not right.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Begins TLS sessions.
#[derive(Debug, Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// The same connector, not one made from the same files: those may have changed.
impl PartialEq for TlsConnector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.server_name == other.server_name
    }
}

impl Eq for TlsConnector {}

impl TlsConnector {
    /// Reads the files.
    ///
    /// # Errors
    /// They are of no use, or do not go together.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsOptionsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if options.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        } else {
            builder.with_root_certificates(authorities(options)?)
        };
        let config = match (&options.cert, &options.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(read_certificates(cert)?, read_key(key)?)
                .map_err(|cause| match cause {
                    rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                        TlsOptionsError::Mismatch { cert: cert.clone(), key: key.clone() }
                    }
                    cause => TlsOptionsError::Setup(cause),
                })?,
            _ => return Err(TlsOptionsError::Half),
        };
        let name = options.server_name.as_ref();
        let server_name = name
            .map(|name| {
                ServerName::try_from(name.clone())
                    .map_err(|_| TlsOptionsError::ServerName(name.clone()))
            })
            .transpose()?;
        Ok(Self { config: Arc::new(config), server_name })
    }

    /// The same, where a server that is called `host` is connected to by another name: by its
    /// address. A name that the options give goes before.
    ///
    /// # Errors
    /// It is no name.
    pub fn for_host(mut self, host: &str) -> Result<Self, TlsOptionsError> {
        if self.server_name.is_none() {
            let name = ServerName::try_from(host.to_owned());
            let name = name.map_err(|_| TlsOptionsError::ServerName(host.to_owned()))?;
            self.server_name = Some(name);
        }
        Ok(self)
    }

    /// A session with a server that is called `host`, unless the options say how it is called.
    ///
    /// # Errors
    /// That is no name.
    pub fn session(&self, host: &str) -> io::Result<Session> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        Ok(Session::new(connection.map_err(io::Error::other)?))
    }
}

fn authorities(options: &TlsOptions) -> Result<RootCertStore, TlsOptionsError> {
    let mut roots = RootCertStore::empty();
    match &options.ca_cert {
        Some(path) => {
            for certificate in read_certificates(path)? {
                roots.add(certificate)?;
            }
        }
        // A system may have some that nobody can use.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() { Err(TlsOptionsError::NoAuthorities) } else { Ok(roots) }
}

/// Takes any certificate, as long as the server has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
