//! Where the server listens, as far as it makes sense.

use std::net::IpAddr;

use anyhow::{anyhow, bail};

use super::Args;
use crate::config::{AuthClients, TlsConfig};
use crate::tls::TlsError;

/// What the command line says of that.
pub(super) struct Listening {
    pub(super) bind: Vec<IpAddr>,
    /// `None` without plain TCP.
    pub(super) port: Option<u16>,
    pub(super) tls: Option<TlsConfig>,
}

impl Args {
    /// # Errors
    /// When it leaves nothing to listen on, or says two things of which one would be ignored.
    pub(super) fn listening(&self) -> anyhow::Result<Listening> {
        let bind = self.addresses()?;
        let port = self.positional_port.or(self.port.0);
        if bind.is_empty() {
            self.check_unix_alone()?;
        }
        if port.is_none() && self.tls_port.is_none() && self.unixsocket.is_none() {
            let port = self.origin("port");
            bail!("{port} none leaves nothing to listen on: give --tls-port or --unixsocket PATH");
        }
        self.check_apart(port.filter(|_| !bind.is_empty()))?;
        // In Redis 0 is no port, and who wants TLS alone says so.
        if port == Some(0) && self.tls_port.is_some() && !self.announce {
            let (port, tls_port) = (self.port_origin(), self.origin("tls-port"));
            bail!(
                "{port} 0 opens a free port without TLS beside {tls_port}: give --port none for \
                 TLS alone, or --announce to learn which it is"
            );
        }
        Ok(Listening { bind, port, tls: self.tls()? })
    }

    fn addresses(&self) -> anyhow::Result<Vec<IpAddr>> {
        match self.bind.as_slice() {
            [none] if none == "none" => Ok(Vec::new()),
            addresses => {
                let origin = self.origin("bind");
                let mut parsed = Vec::with_capacity(addresses.len());
                for text in addresses {
                    let address = parse_ip(text, &origin)?;
                    if parsed.contains(&address) {
                        bail!("{origin} names {address} twice: name it once");
                    }
                    parsed.push(address);
                }
                Ok(parsed)
            }
        }
    }

    /// The system would say that another program has the port.
    fn check_apart(&self, port: Option<u16>) -> anyhow::Result<()> {
        let ports = [
            (self.port_origin(), port),
            (self.origin("tls-port"), self.tls_port),
            (self.origin("metrics-port"), self.metrics_port),
        ];
        let mut seen: Vec<(String, u16)> = Vec::new();
        for (origin, port) in ports {
            let Some(port) = port.filter(|&port| port > 0) else { continue };
            if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == port) {
                bail!("{origin} {port} is what {other} is: choose another port for one of them");
            }
            seen.push((origin, port));
        }
        Ok(())
    }

    /// Without an address there can be no port. One that the environment or a file holds for other
    /// starts is only not used.
    fn check_unix_alone(&self) -> anyhow::Result<()> {
        let bind = self.origin("bind");
        if self.unixsocket.is_none() {
            bail!("{bind} none leaves nothing to listen on: give --unixsocket PATH");
        }
        if self.tls_port.is_some() {
            let tls_port = self.origin("tls-port");
            bail!("{tls_port} needs an address, and {bind} is none: leave one of them out");
        }
        let typed = self.overruling.contains_key("port") && self.origin("port") == "--port";
        if self.positional_port.is_some() || (typed && self.port.0.is_some()) {
            let port = self.port_origin();
            bail!("{port} needs an address, and {bind} is none: leave one of them out");
        }
        Ok(())
    }

    fn port_origin(&self) -> String {
        match self.positional_port {
            Some(_) => "PORT".to_owned(),
            None => self.origin("port"),
        }
    }

    fn tls(&self) -> anyhow::Result<Option<TlsConfig>> {
        let Some(port) = self.tls_port else {
            let of_no_use = [
                ("tls-cert-file", self.tls_cert_file.is_some()),
                ("tls-key-file", self.tls_key_file.is_some()),
                ("tls-ca-cert-file", self.tls_ca_cert_file.is_some()),
                ("tls-auth-clients", self.origins.contains_key("tls-auth-clients")),
            ];
            if let Some((name, _)) = of_no_use.iter().find(|(_, is_given)| *is_given) {
                bail!("{} is of no use without --tls-port: give both", self.origin(name));
            }
            return Ok(None);
        };
        let (Some(cert_file), Some(key_file)) = (&self.tls_cert_file, &self.tls_key_file) else {
            bail!("{} needs --tls-cert-file and --tls-key-file", self.origin("tls-port"));
        };
        let auth_clients = self.tls_auth_clients.into();
        if auth_clients != AuthClients::No && self.tls_ca_cert_file.is_none() {
            let asked = ["tls-auth-clients", "tls-port"];
            let asked = asked.into_iter().find(|name| self.origins.contains_key(*name));
            bail!("{}: {}", self.origin(asked.unwrap_or("tls-port")), TlsError::NoAuthority);
        }
        Ok(Some(TlsConfig {
            port,
            cert_file: cert_file.clone(),
            key_file: key_file.clone(),
            ca_cert_file: self.tls_ca_cert_file.clone(),
            auth_clients,
        }))
    }
}

fn parse_ip(text: &str, origin: &str) -> anyhow::Result<IpAddr> {
    match text.trim() {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        text => text.parse().map_err(|_| {
            anyhow!("{origin} takes IP addresses such as 127.0.0.1, 0.0.0.0 or ::1, not '{text}'")
        }),
    }
}
