//! What the clients ask for, as flags say it: which operations, on which keys, with which values.

use std::time::Duration;

use crate::args::WorkloadArgs;
use crate::number::grouped;
use crate::scenario::{ScenarioError, plural, range};
use crate::target::MEMCACHED_TTL_MAX;
use crate::units;
use crate::workload::{
    CACHE_TTL, Command, Filling, KEYS_MAX, KeyDistribution, Kind, Mix, MixError, Preset, Sizes,
    Values,
};

/// YCSB's own sum over the keys takes a second per 10^8, before each run.
const YCSB_KEYS_MAX: u64 = 100_000_000;

/// Who keeps what for longer than a year keeps it.
const TTL_MAX: Duration = Duration::from_hours(365 * 24);
const RATIO_MAX: u32 = 1_000_000;
/// So many keys leave twelve digits room for 900 billion inserts.
const INSERT_KEYS_MAX: u64 = 100_000_000_000;

/// The flags of the workload, with what they leave open filled in.
#[derive(Debug, Clone)]
pub struct Demand {
    pub preset: Option<&'static Preset>,
    pub mix: Mix,
    /// As many as were asked for.
    pub keys: u64,
    pub key_distribution: KeyDistribution,
    pub sizes: Sizes,
    pub filling: Filling,
    /// What every value is, if that was given.
    pub text: Option<String>,
    /// How long what is put lives.
    pub ttl: Option<Duration>,
}

impl Demand {
    /// Checks what was typed. Servers that run already get no writes unless they are asked for.
    pub fn new(args: &WorkloadArgs, running: bool) -> Result<Self, ScenarioError> {
        range("keys", args.keys, (1, KEYS_MAX), 100_000)?;
        let name = args.workload.as_deref();
        let preset = name.map(Preset::named).transpose().map_err(|problem| {
            let value = name.unwrap_or_default().to_owned();
            ScenarioError::Value { flag: "workload", value, problem }
        })?;
        let default = if running { "get=100" } else { "get=90,put=9,delete=1" };
        let mix = args.mix.as_deref().or(preset.map(|preset| preset.mix)).unwrap_or(default);
        let mut mix: Mix = if args.command.is_empty() { mix.parse()? } else { commands(args)? };
        let is_cache = preset.is_some_and(|preset| preset.is_cache);
        if is_cache {
            mix = mix.filling();
        }
        if mix.contains(Kind::Insert) {
            range("keys", args.keys, (1, INSERT_KEYS_MAX), 100_000)?;
        }
        Ok(Self {
            key_distribution: key_distribution(args, preset, &mix)?,
            sizes: sizes(args, preset)?,
            filling: filling(args.compressibility.as_deref())?,
            text: args.value.clone(),
            ttl: ttl(args.ttl)?.or(is_cache.then_some(CACHE_TTL)),
            keys: args.keys,
            preset,
            mix,
        })
    }

    /// Whether it is known of each key what a read of it must find.
    pub(crate) fn is_verifiable(&self) -> bool {
        self.ttl.is_none() && self.mix.is_verifiable()
    }

    /// Refuses what memcached cannot be asked for.
    pub(crate) fn check_memcached(&self) -> Result<(), ScenarioError> {
        if let Some(command) = self.mix.commands().first() {
            return Err(ScenarioError::Value {
                flag: "command",
                value: format!("'{}'", command.text),
                problem:
                    "commands are of servers that speak RESP, and memcached:// does not: ask it \
                          with --mix (such as --mix get=90,put=10)"
                        .to_owned(),
            });
        }
        match self.ttl {
            Some(ttl) if ttl.subsec_nanos() > 0 || ttl > MEMCACHED_TTL_MAX => {
                Err(ScenarioError::Value {
                    flag: "ttl",
                    value: format!("{ttl:?}"),
                    problem: "memcached counts it in seconds, up to 720h (such as --ttl 60s)"
                        .to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    /// The values, made by `seed`.
    pub fn values(&self, seed: u64) -> Values {
        match &self.text {
            Some(text) => Values::fixed(text),
            None => Values::new(&self.sizes, self.filling, seed),
        }
    }
}

fn key_distribution(
    args: &WorkloadArgs,
    preset: Option<&Preset>,
    mix: &Mix,
) -> Result<KeyDistribution, ScenarioError> {
    let typed = args.key_distribution.as_deref();
    let text = typed.or(preset.map(|preset| preset.key_distribution)).unwrap_or("uniform");
    let refused = |problem: String| ScenarioError::Value {
        flag: "key-distribution",
        value: text.to_owned(),
        problem,
    };
    let distribution = text.parse().map_err(refused)?;
    if mix.is_only(Kind::Delete) {
        return match typed {
            None => Ok(KeyDistribution::OwnKey),
            Some(_) => Err(refused(
                "a delete-only run takes each key once, in order: leave it out".to_owned(),
            )),
        };
    }
    if args.keys > YCSB_KEYS_MAX && matches!(distribution, KeyDistribution::YcsbZipfian { .. }) {
        return Err(refused(format!(
            "YCSB adds up a number per key, which is too slow for more than {} --keys (zipfian:0.99 \
             is at once ready for any number)",
            grouped(YCSB_KEYS_MAX)
        )));
    }
    Ok(distribution)
}

fn sizes(args: &WorkloadArgs, preset: Option<&Preset>) -> Result<Sizes, ScenarioError> {
    if let Some(text) = &args.value {
        return Ok(Sizes::Fixed(text.len() as u64));
    }
    let typed = args.value_size.as_deref();
    let text = typed.or(preset.map(|preset| preset.value_size)).unwrap_or("100");
    text.parse().map_err(|problem| ScenarioError::Value {
        flag: "value-size",
        value: text.to_owned(),
        problem,
    })
}

fn commands(args: &WorkloadArgs) -> Result<Mix, ScenarioError> {
    let (commands, ratios) = (&args.command, &args.command_ratio);
    if !ratios.is_empty() && ratios.len() != commands.len() {
        return Err(ScenarioError::Value {
            flag: "command-ratio",
            value: String::new(),
            problem: format!(
                "{} are given for {}: give one behind each --command, or none",
                ratios.len(),
                plural(commands.len() as u64, "command")
            ),
        });
    }
    let refused = |text: &str, problem| ScenarioError::Value {
        flag: "command",
        value: format!("'{}'", text.replace('\n', "\\n")),
        problem,
    };
    if let Some(&ratio) = ratios.iter().find(|&&ratio| ratio > RATIO_MAX) {
        range("command-ratio", ratio.into(), (0, RATIO_MAX.into()), 9)?;
    }
    let ratios = ratios.iter().copied().chain(std::iter::repeat(1));
    let read = |(text, ratio): (&String, u32)| {
        let command = Command::parse(text).map_err(|problem| refused(text, problem))?;
        Ok((command, ratio))
    };
    let commands: Result<Vec<_>, ScenarioError> = commands.iter().zip(ratios).map(read).collect();
    Mix::of_commands(commands?).map_err(|problem| ScenarioError::Value {
        flag: "command",
        value: String::new(),
        problem: match problem {
            MixError::Empty => "every --command-ratio is 0: give one of them 1 at least".to_owned(),
            other => other.to_string(),
        },
    })
}

/// Servers count it in milliseconds.
fn ttl(typed: Option<Duration>) -> Result<Option<Duration>, ScenarioError> {
    match typed {
        Some(time) if time.subsec_nanos() % 1_000_000 != 0 || time.is_zero() || time > TTL_MAX => {
            Err(ScenarioError::Value {
                flag: "ttl",
                value: if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") },
                problem: "must be whole milliseconds, from 1ms to 8760h (such as --ttl 60s)"
                    .to_owned(),
            })
        }
        typed => Ok(typed),
    }
}

fn filling(share: Option<&str>) -> Result<Filling, ScenarioError> {
    let Some(text) = share else { return Ok(Filling::Printable) };
    let share = units::share(text).filter(|share| (0.0..=1.0).contains(share));
    share.map(Filling::Compressible).ok_or_else(|| ScenarioError::Value {
        flag: "compressibility",
        value: text.to_owned(),
        problem: "must be a share from 0 to 1, or in percent (such as --compressibility 0.5)"
            .to_owned(),
    })
}
