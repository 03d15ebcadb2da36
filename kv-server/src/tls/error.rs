//! What can be wrong with the files that TLS needs. Every message names the file.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kv_core::tls::PemError;
use thiserror::Error;

/// Why there can be no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{setting}: {cause}")]
    File { setting: &'static str, cause: PemError },
    #[error(
        "the key in {} is not the one of the certificate in {}: give the two that were made together",
        key.display(), certificate.display()
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error(
        "the certificate in {} expired {} ago: renew it", path.display(), days(*since)
    )]
    Expired { path: PathBuf, since: Duration },
    #[error(
        "the certificate in {} becomes valid in {}: check it and the clock", path.display(), days(*left)
    )]
    NotYetValid { path: PathBuf, left: Duration },
    #[error("the certificate in {} is of no use: {cause}", path.display())]
    Certificate { path: PathBuf, cause: rustls::Error },
    #[error(
        "clients cannot show certificates without an authority that has signed them: give --tls-ca-cert-file, or --tls-auth-clients no for clients without certificates"
    )]
    NoAuthority,
    #[error("the certificates in {} are of no use: {cause}", path.display())]
    Authority { path: PathBuf, cause: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Why a handshake failed.
pub(crate) fn in_words(error: &io::Error) -> String {
    use rustls::{Error, InvalidMessage};
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    match (tls, error.kind()) {
        (Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)), _) => {
            "it speaks plain RESP, or anything else, to the port for TLS; it should connect with TLS \
             (kv-cli --tls), or to a port without"
                .to_owned()
        }
        (Some(Error::NoCertificatesPresented), _) => {
            "it shows no certificate (--tls-auth-clients)".to_owned()
        }
        (Some(error), _) => error.to_string(),
        (None, io::ErrorKind::TimedOut) => "its handshake took too long".to_owned(),
        (None, io::ErrorKind::UnexpectedEof) => "it left in the middle of the handshake".to_owned(),
        (None, _) => error.to_string(),
    }
}

fn days(time: Duration) -> String {
    let hours = time.as_secs() / 3600;
    match hours {
        0 => "less than an hour".to_owned(),
        1 => "an hour".to_owned(),
        2..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}
