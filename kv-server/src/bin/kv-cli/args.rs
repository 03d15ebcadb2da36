//! kv-cli's command line: what was typed, and what it means.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{ArgAction, Parser};
use kv_core::client::{Address, ConnectOptions, Endpoint};
use kv_core::resp::Protocol;
use kv_core::ring::RingMode;
use kv_core::ring_client::RingClient;
use kv_core::tls::{TlsConnector, TlsOptions, TlsOptionsError};
use kv_server::PORT_DEFAULT;

use crate::format::Format;
use crate::session::{Session, To};

/// Command-line client of kv-server and every other server that speaks RESP.
///
/// With a command, runs it and ends. Without one, runs the lines of standard input, or offers a
/// prompt when that is a terminal. Replies look as redis-cli prints them on a terminal, and are
/// bare values when piped on.
#[derive(Debug, Parser)]
#[command(
    name = "kv-cli",
    version,
    disable_help_flag = true,
    after_help = "Examples:
  kv-cli put key1 value1              store a value (the same as: set key1 value1)
  kv-cli get key1                     print it
  kv-cli delete key1                  remove it
  kv-cli set key1 value1 EX 60        any other command works, too
  kv-cli end                          stop the server
  kv-cli                              a prompt; 'help' there says more
  printf 'put a 1\\nget a\\n' | kv-cli  a command per line, quoted as in redis-cli
  kv-cli monitor                      what all clients ask for, until Ctrl-C
  kv-cli -p 6379 ping                 any Redis server
  kv-cli --tls --cacert ca.crt -h localhost -p 65433 ping
  kv-cli --servers :8001,:8002 get k  ask the server that owns the key
  kv-cli --servers :8001,:8002 --all-servers dbsize

Exit status: 0 fine; 1 the key is not there (a null reply, or nothing deleted) or the server
answered with an error; 2 wrong usage; 3 the server cannot be reached. Of several lines or servers,
the highest."
)]
pub(crate) struct Args {
    /// Server's host name or address
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    host: String,

    /// Server's port [default: the server's own `KV_PORT` in the environment, or 65432]
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Server's Unix socket, instead of host and port
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["host", "port"])]
    socket: Option<PathBuf>,

    /// Password; better given as `KVCLI_AUTH` or `REDISCLI_AUTH` in the environment, where the
    /// server's own `KV_REQUIREPASS` serves, too, on its own machine and with --tls
    #[arg(short = 'a', long, env = "KVCLI_AUTH", hide_env_values = true)]
    password: Option<String>,

    /// User, where it is not the default one
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Speak TLS, with each server but those at a Unix socket
    #[arg(long)]
    tls: bool,

    /// Certificates of the authorities that are trusted to have signed the server's; those of the
    /// system without it
    #[arg(long, value_name = "FILE", requires = "tls")]
    cacert: Option<PathBuf>,

    /// Certificate to show to a server that asks for one
    #[arg(long, value_name = "FILE", requires = "tls", requires = "key")]
    cert: Option<PathBuf>,

    /// The private key of that certificate
    #[arg(long, value_name = "FILE", requires = "tls", requires = "cert")]
    key: Option<PathBuf>,

    /// Take any certificate of the server: whoever is between can read and change everything
    #[arg(long, requires = "tls", conflicts_with = "cacert")]
    insecure: bool,

    /// Name that the server's certificate must have, instead of the host's
    #[arg(long, value_name = "NAME", requires = "tls")]
    sni: Option<String>,

    /// Database number
    #[arg(short = 'n', long, value_name = "N", default_value_t = 0)]
    db: u32,

    /// Several servers, `[name=]host:port` or `[name=]/socket`, separated by commas: a command goes
    /// to the one that owns its key by the ring, and the answer says which that was
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with_all = ["host", "port", "socket"])]
    servers: Vec<String>,

    /// How keys are placed on --servers: slots, ketama or uhashring
    #[arg(long, value_name = "MODE", default_value_t, requires = "servers")]
    ring: RingMode,

    /// Send every command to each of --servers
    #[arg(long, requires = "servers")]
    all_servers: bool,

    /// Print bare values, also on a terminal
    #[arg(long, conflicts_with_all = ["no_raw", "json"])]
    raw: bool,

    /// Print types and quotes, also into a pipe
    #[arg(long, conflicts_with = "json")]
    no_raw: bool,

    /// Print each reply as one line of JSON
    #[arg(long)]
    json: bool,

    /// Speak RESP3
    #[arg(short = '3')]
    resp3: bool,

    /// Longest wait for a connection and for a reply: seconds, or 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// Print this help
    #[arg(long, short = '?', action = ArgAction::Help)]
    help: Option<bool>,

    /// The command and its arguments
    #[arg(trailing_var_arg = true)]
    command: Vec<OsString>,
}

impl Args {
    /// The command, empty when none was given.
    pub(crate) fn command(&self) -> Vec<Vec<u8>> {
        self.command.iter().cloned().map(OsString::into_vec).collect()
    }

    /// How to print, on a terminal or not.
    pub(crate) fn format(&self, terminal: bool) -> Format {
        match (self.json, self.raw, self.no_raw) {
            (true, ..) => Format::Json,
            (_, true, _) => Format::Raw,
            (_, _, true) => Format::Typed,
            _ if terminal => Format::Typed,
            _ => Format::Raw,
        }
    }

    /// The servers to talk to. Connects to none yet.
    pub(crate) fn session(&self) -> anyhow::Result<Session> {
        let (addresses, to) = if self.servers.is_empty() {
            (vec![self.address()?], To::Only)
        } else {
            let addresses = self.servers.iter().map(|text| listed(text)).collect::<Result<_, _>>();
            (addresses.context("--servers")?, if self.all_servers { To::All } else { To::Owner })
        };
        let mut options = ConnectOptions {
            username: self.user.clone(),
            password: self.password_for(&addresses),
            db: self.db,
            protocol: if self.resp3 { Protocol::Resp3 } else { Protocol::Resp2 },
            tls: self.tls().context("--tls")?,
            ..ConnectOptions::default()
        };
        if options.username.is_some() && options.password.is_none() {
            bail!("--user needs a password: give --password, or KVCLI_AUTH in the environment");
        }
        if let Some(timeout) = self.timeout {
            options.connect_timeout = timeout;
            options.reply_timeout = Some(timeout);
        }
        let client = RingClient::new(self.ring, addresses, options).context("--servers")?;
        Ok(Session::new(client, to))
    }

    /// Beside the server, as in its image's health check, the variable that set its password is
    /// there. Nobody has meant that one for other machines, so it goes to none in the clear.
    fn password_for(&self, addresses: &[Address]) -> Option<String> {
        let typed = self.password.clone().or_else(|| std::env::var("REDISCLI_AUTH").ok());
        typed.or_else(|| {
            let servers = std::env::var("KV_REQUIREPASS").ok()?;
            if self.tls || addresses.iter().all(is_local) {
                return Some(servers);
            }
            crate::complain(
                "kv-cli: KV_REQUIREPASS is not sent to another machine in the clear: give --tls, \
                 or KVCLI_AUTH if you mean it",
            );
            None
        })
    }

    fn tls(&self) -> Result<Option<TlsConnector>, TlsOptionsError> {
        let options = TlsOptions {
            ca_cert: self.cacert.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
            insecure: self.insecure,
            server_name: self.sni.clone(),
        };
        self.tls.then(|| TlsConnector::new(&options)).transpose()
    }

    fn address(&self) -> anyhow::Result<Address> {
        if let Some(path) = &self.socket {
            return Ok(Address::unix(path));
        }
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains('/') {
            bail!("--host '{}' is no host name: a socket's path goes to --socket", self.host);
        }
        if let [name, _] = host.split(':').collect::<Vec<_>>()[..] {
            bail!(
                "--host '{host}' is no host name: write --host {name}, and its port to --port (-p)"
            );
        }
        Ok(Address::tcp(host, self.port.map_or_else(port_of_environment, Ok)?))
    }
}

/// Beside the server, as in its image's health check, the variable that set its port is there. No
/// flag of clap's: a socket would then seem to be given a port, too.
fn port_of_environment() -> anyhow::Result<u16> {
    let Ok(text) = std::env::var("KV_PORT") else { return Ok(PORT_DEFAULT) };
    let port = text.parse().ok().filter(|port| *port > 0);
    port.with_context(|| format!("KV_PORT '{text}' is no port: unset it, or give --port (-p)"))
}

/// One of `--servers`; `:8001` is short for a port of this machine, also behind `name=`.
fn listed(text: &str) -> anyhow::Result<Address> {
    let text = text.trim();
    let (name, address) = text.split_at(text.find('=').map_or(0, |at| at + 1));
    let local = address.strip_prefix(':').map(|port| format!("{name}127.0.0.1:{port}"));
    Ok(local.as_deref().unwrap_or(text).parse()?)
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let (number, seconds) = units
        .iter()
        .find_map(|&(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .unwrap_or((text, 1.0));
    let value = number.parse::<f64>().ok().filter(|value| *value > 0.0 && *value < 1e6);
    let duration = value.and_then(|value| Duration::try_from_secs_f64(value * seconds).ok());
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a time above 0, such as 2, 500ms or 1m".to_owned())
}

/// Whether what is sent there stays on this machine.
fn is_local(address: &Address) -> bool {
    match address.endpoint() {
        Endpoint::Unix(_) => true,
        Endpoint::Tcp(host, _) => match host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => host == "localhost",
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        <super::Args as CommandFactory>::command().debug_assert();
    }
}
