//! Certificates and keys in files. Every message names the file.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// Not there, not ours to read, or damaged.
    #[error("cannot read {}: {}", path.display(), reason(cause))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: pem::Error,
    },
    /// Nothing in it is a certificate.
    #[error("{} holds no certificate: it should have a part BEGIN CERTIFICATE (PEM)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Nothing in it is a key that can be read.
    #[error(
        "{} holds no private key: it should have a part BEGIN PRIVATE KEY (PEM, without a passphrase)",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => {
            error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
        }
        error => format!("it is damaged: {error}"),
    }
}

/// The certificates in a file, at least one.
///
/// # Errors
/// There are none.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let read = |cause| PemError::Read { path: path.to_owned(), cause };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<_, _>>()
        .map_err(read)?;
    if found.is_empty() {
        return Err(PemError::NoCertificate { path: path.to_owned() });
    }
    Ok(found)
}

/// The private key in a file.
///
/// # Errors
/// There is none that can be read.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(path).map_err(|cause| match cause {
        pem::Error::NoItemsFound => PemError::NoKey { path: path.to_owned() },
        cause => PemError::Read { path: path.to_owned(), cause },
    })
}
