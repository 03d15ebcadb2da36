//! Certificates for tests, made anew for each: an authority, and those that it has signed.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A folder with `NAME.crt` and `NAME.key` of the authority `ca`, of `server`, which is `localhost`
/// and 127.0.0.1, of `client`, of `expired` and `early`, which are servers too, and of `stranger`,
/// whom nobody has signed.
pub(crate) struct Certificates(tempfile::TempDir);

impl Certificates {
    pub(crate) fn new() -> Self {
        let made = Self(tempfile::tempdir().expect("a temporary folder"));
        let mut authority = params(&[]);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        made.write("ca", &authority.self_signed(&key).expect("a certificate").pem(), &key);
        let issuer = Issuer::new(authority, key);
        let (mut expired, mut early) = (params(&["localhost"]), params(&["localhost"]));
        expired.not_after = date_time_ymd(2024, 1, 31);
        early.not_before = date_time_ymd(4000, 1, 1);
        for (name, params) in [
            ("server", params(&["localhost", "127.0.0.1"])),
            ("client", params(&["client"])),
            ("expired", expired),
            ("early", early),
        ] {
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            made.write(name, &certificate.pem(), &key);
        }
        let key = KeyPair::generate().expect("a key");
        let stranger = params(&["client"]).self_signed(&key).expect("a certificate");
        made.write("stranger", &stranger.pem(), &key);
        made
    }

    fn write(&self, name: &str, certificate: &str, key: &KeyPair) {
        let path = |ending| self.0.path().join(format!("{name}.{ending}"));
        fs::write(path("crt"), certificate).expect("room for a file");
        fs::write(path("key"), key.serialize_pem()).expect("room for a file");
    }

    /// The path of such a file.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder().join(file).display().to_string()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(4001, 1, 1);
    params
}
