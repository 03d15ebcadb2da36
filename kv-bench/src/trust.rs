//! Whether a measurement can be believed, judged from measured facts alone.
//!
//! A closed loop is trusted when its workers hardly waited for a core (≤ 5 % of their wall time),
//! none was near the end of one (< 90 %), nobody took CPU time away (throttling and steal ≤ 1 %),
//! and it lasted long enough to tell (≥ 0.2 s) with anything to show. What the generator did not get,
//! the servers did not get asked: then the figures describe the machine and not the servers.
//!
//! An open loop is trusted when it kept its schedule: operations were sent on time, but for less than
//! the response times show (the 99th percentile of lateness ≤ 10 % of the median response time). That
//! stands in the place of the wait for a core, which is late only where it makes operations late.
//!
//! The servers are the limit of a trusted measurement when they could use no more: a thread of
//! theirs (of some servers the only one) or all cores together were near the end. A server of many
//! threads that uses one core of eight has another limit, such as too few callers.

mod pace;

pub(crate) use pace::SUSTAINED;

use crate::number::{duration, short};
use crate::result::{Limit, Trust, Verdict};
use crate::scenario::plural;

const QUEUE_WAIT_SHARE_MAX: f64 = 0.05;
const WORKER_SHARE_MAX: f64 = 0.90;
const TAKEN_SHARE_MAX: f64 = 0.01;
/// Steal and servers' CPU time are counted in ticks of 10 ms, which are 5 % of this.
const WALL_S_MIN: f64 = 0.2;
/// Others' share of the cores that is worth telling: above what ticks and daemons amount to.
const OTHERS_SHARE_MIN: f64 = 0.10;
/// A server's thread at this share of a core has no more to give, nor have cores of which servers and
/// workers together use this share.
const BUSY_SHARE: f64 = 0.90;

/// Lateness that does not change what is seen of the servers: its 99th percentile over the median
/// response time.
const LATENESS_SHARE_MAX: f64 = 0.10;

/// How an open loop kept its schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// `None` where it is not known before the end, as of a trace on standard input.
    pub asked_ops_s: Option<f64>,
    pub achieved_ops_s: f64,
    /// Of all operations.
    pub lateness_p99_us: f64,
    /// Of successes.
    pub response_p50_us: f64,
    /// Operations that were due and found no client with room, over all.
    pub waited_share: f64,
}

/// What was measured about the measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Logical cores that this process may use.
    pub cores: u32,
    /// Worker threads, and clients of each.
    pub threads: u32,
    pub clients: u32,
    pub pipeline: u32,
    /// Wall time of the measurement.
    pub wall_s: f64,
    /// Per worker: CPU time over wall time.
    pub worker_shares: Vec<f64>,
    /// The workers' wait for a core over their wall time; `None` where the kernel does not tell.
    pub queue_wait_share: Option<f64>,
    /// How often in a second workers were taken off their cores for others; `None` where the kernel
    /// does not tell.
    pub involuntary_switches_s: Option<f64>,
    /// Wall time for which a CPU quota stopped us, over wall time; `None` without a quota.
    pub throttled_share: Option<f64>,
    /// Share of all cores' time that the hypervisor took.
    pub steal_share: f64,
    /// The longest time in which a worker did not run at all, stopped or starved.
    pub absent_s: f64,
    /// Share of all cores' time that processes used which are neither ours nor the servers'; `None`
    /// where the process of a server is not known.
    pub others_share: Option<f64>,
    /// Of an open loop.
    pub pace: Option<Pace>,
    /// Per server; `None` where it runs elsewhere.
    pub servers: Vec<Option<ServerLoad>>,
    /// Connections on which more replies came than had been asked for.
    pub unsolicited: u64,
    /// Of a trace: the part of its time for which a worker had nothing to do because it had not been read
    /// yet.
    pub hungry_share: f64,
    /// How many times as fast as it was a trace is replayed, where its times are honoured.
    pub trace_speed: Option<f64>,
    /// A server did not answer at the end.
    pub server_lost: bool,
    /// We started the servers.
    pub spawned: bool,
    /// There are no servers: the workers call the engine.
    pub in_process: bool,
    /// The part of the workers' time that passed in its calls, once that is known.
    pub in_calls_share: Option<f64>,
    /// The command line's words after the program, to show one that would be trusted.
    pub arguments: Vec<String>,
}

/// What a server used while it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerLoad {
    /// CPU time over wall time, over all its threads.
    pub cores: f64,
    /// The same of the one thread that used most.
    pub busiest_thread: f64,
}

/// Judges a measurement.
pub fn judge(facts: &Facts) -> Trust {
    let mut reasons = Vec::new();
    let mut limits = Vec::new();
    let starved = starved(facts).map(|reason| (Limit::Generator, reason));
    for (limit, reason) in faults_of_servers(facts).chain(starved) {
        limits.push(limit);
        reasons.push(reason);
    }
    if facts.wall_s < WALL_S_MIN {
        limits.push(Limit::Unknown);
        reasons.push(format!(
            "it lasted {:.3} s, too short to tell (trusted from {WALL_S_MIN} s): ask for more \
             --requests, or for more --keys where each is deleted once",
            facts.wall_s
        ));
    }
    let taken_away = taken_away(facts);
    if let Some((limit, reason, remedy)) = &taken_away {
        limits.push(*limit);
        reasons.extend([reason.clone(), (*remedy).to_owned()]);
    }
    let busiest = facts.worker_shares.iter().copied().fold(0.0, f64::max);
    // Who calls the engine is what it runs on: that worker's time is the engine's too, and a call is
    // timed when it returns, however busy its caller.
    if busiest >= WORKER_SHARE_MAX && !facts.in_process {
        limits.push(Limit::Generator);
        reasons.push(format!(
            "the busiest worker used {} of a core (trusted below {})",
            percent(busiest),
            percent(WORKER_SHARE_MAX)
        ));
    }
    let late = facts.pace.as_ref().and_then(|pace| pace::late(facts, pace));
    let is_late = late.is_some();
    if let Some((limit, why)) = late {
        limits.push(limit);
        reasons.extend(why);
    }
    match facts.queue_wait_share {
        _ if facts.pace.is_some() => {}
        Some(wait) if wait > QUEUE_WAIT_SHARE_MAX => {
            limits.push(Limit::SharedCores);
            reasons.push(format!(
                "workers waited for a core {} of their time (trusted up to {}){}",
                percent(wait),
                percent(QUEUE_WAIT_SHARE_MAX),
                switches(facts)
            ));
        }
        Some(_) => {}
        None => {
            limits.push(Limit::Unknown);
            reasons.push(
                "the kernel does not tell how long workers waited for a core (schedstat)"
                    .to_owned(),
            );
        }
    }
    let Some(&limited_by) = limits.first() else { return trusted(facts, busiest) };
    reasons.extend(crowded(facts).filter(|_| !facts.server_lost));
    let others = others(facts);
    let blamed = others.is_some() && limited_by == Limit::SharedCores;
    reasons.extend(others);
    if blamed && taken_away.is_none() {
        reasons.push("measure again when they are quiet, or on a machine of your own".to_owned());
    }
    // Fewer callers do not give back what others have taken, unless there are too many as well.
    let ours = !blamed || facts.threads > threads_for(facts);
    let ours = ours && matches!(limited_by, Limit::Generator | Limit::SharedCores);
    if taken_away.is_none() && ours && !is_late {
        reasons.push(advice(facts));
    }
    Trust { verdict: Verdict::Untrusted, limited_by, reasons }
}

/// `trust`, unless nothing was measured: a measurement without a success says nothing of the
/// server, however undisturbed it was.
pub fn with_outcome(trust: Trust, attempted: u64, failed: u64) -> Trust {
    if failed < attempted {
        return trust;
    }
    let is_servers = (trust.verdict, trust.limited_by) == (Verdict::Untrusted, Limit::Server);
    Trust {
        verdict: Verdict::Untrusted,
        limited_by: if is_servers { Limit::Server } else { Limit::Unknown },
        reasons: vec!["no operation succeeded: there is nothing to believe".to_owned()],
    }
}

/// `trust` with what is told of servers that were away for a while.
pub fn with_outages(mut trust: Trust, outages: &[String]) -> Trust {
    trust.reasons.splice(0..0, outages.iter().cloned());
    trust
}

/// What servers did after which no figure is worth believing.
fn faults_of_servers(facts: &Facts) -> impl Iterator<Item = (Limit, String)> {
    let lost = facts.server_lost.then(|| {
        "the figures are of a server that did not answer at the end: measure again when it does, \
         whatever the command"
            .to_owned()
    });
    let unsolicited = (facts.unsolicited > 0).then(|| {
        let connections = plural(facts.unsolicited, "connection");
        format!(
            "{connections} brought more replies than were asked for: which of them answered what is \
             not known"
        )
    });
    lost.into_iter().chain(unsolicited).map(|reason| (Limit::Server, reason))
}

/// A trace that could not be read as fast as it was sent.
fn starved(facts: &Facts) -> Option<String> {
    (facts.hungry_share > TAKEN_SHARE_MAX).then(|| {
        format!(
            "workers had nothing to send for {} of the time (trusted up to {}) because the trace could \
             not be read as fast: a plain file is read faster than a compressed one or a pipe, and a \
             lower --trace-speed needs less",
            percent(facts.hungry_share),
            percent(TAKEN_SHARE_MAX)
        )
    })
}

fn others(facts: &Facts) -> Option<String> {
    let share = facts.others_share.filter(|&share| share >= OTHERS_SHARE_MIN)?;
    Some(format!("other processes used {} of the cores", percent(share)))
}

/// Whether somebody else took CPU time that counts.
pub(crate) fn is_disturbed(facts: &Facts) -> bool {
    taken_away(facts).is_some() || others(facts).is_some()
}

/// CPU time that others took, and what to do about it.
fn taken_away(facts: &Facts) -> Option<(Limit, String, &'static str)> {
    let throttled = facts.throttled_share.filter(|&share| share > TAKEN_SHARE_MAX);
    if let Some(share) = throttled {
        let reason = format!("the CPU quota stopped us for {} of the time", percent(share));
        let remedy = "raise the CPU quota of this container or service";
        return Some((Limit::SharedCores, reason, remedy));
    }
    if facts.absent_s > facts.wall_s * TAKEN_SHARE_MAX {
        let reason = format!(
            "kv-bench itself did not run for {} of the {:.1} s: what waited for it took as long",
            duration(facts.absent_s * 1e6),
            facts.wall_s
        );
        let remedy = "measure again without stopping it (Ctrl-Z, a debugger) or starving it";
        return Some((Limit::Generator, reason, remedy));
    }
    (facts.steal_share > TAKEN_SHARE_MAX).then(|| {
        let share = percent(facts.steal_share);
        let reason = format!("the hypervisor took {share} of the cores' time");
        let remedy = "measure again when its other guests are quiet, or on a machine of your own";
        (Limit::SharedCores, reason, remedy)
    })
}

fn trusted(facts: &Facts, busiest: f64) -> Trust {
    let wait = facts.queue_wait_share.unwrap_or(0.0);
    let mut reasons: Vec<String> = facts.pace.iter().map(Pace::evidence).collect();
    reasons.push(format!(
        "workers waited for a core {} of their time, the busiest used {} of one{}",
        percent(wait),
        percent(busiest),
        switches(facts)
    ));
    reasons.extend(crowded(facts));
    reasons.extend(others(facts));
    if facts.in_process {
        let (limited_by, why) = used_up_in_process(facts, busiest);
        reasons.push(why);
        return Trust { verdict: Verdict::Trusted, limited_by, reasons };
    }
    let used_up = used_up(facts);
    let limited_by = if used_up.is_some() { Limit::Server } else { Limit::Unknown };
    reasons.extend(used_up);
    Trust { verdict: Verdict::Trusted, limited_by, reasons }
}

/// How often workers lost their cores, as the end of a line.
fn switches(facts: &Facts) -> String {
    facts.involuntary_switches_s.map_or_else(String::new, |switches_s| {
        format!(", {} involuntary switches a second", short(switches_s))
    })
}

/// What the servers had no more of.
fn used_up(facts: &Facts) -> Option<String> {
    let servers = || facts.servers.iter().flatten();
    let thread = servers().map(|server| server.busiest_thread).fold(0.0, f64::max);
    if thread >= BUSY_SHARE {
        return Some(format!("the busiest thread of a server used {} of a core", percent(thread)));
    }
    let servers: f64 = servers().map(|server| server.cores).sum();
    let workers: f64 = facts.worker_shares.iter().sum();
    let share = (servers + workers) / f64::from(facts.cores);
    (servers > 0.0 && share >= BUSY_SHARE).then(|| {
        let (share, cores) = (percent(share), facts.cores);
        format!("servers and workers together used {share} of the {cores} cores")
    })
}

/// What limits workers that call the engine: themselves, by what they spend most of their time on.
fn used_up_in_process(facts: &Facts, busiest: f64) -> (Limit, String) {
    let Some(share) = facts.in_calls_share else {
        return (Limit::Unknown, "in process: the workers call the engine".to_owned());
    };
    let limit = match share {
        _ if busiest < BUSY_SHARE => Limit::Unknown,
        share if share >= 0.5 => Limit::Server,
        _ => Limit::Generator,
    };
    let why = format!(
        "in process, a worker runs the engine and so uses a whole core by nature: {} of the workers' \
         time passed in its calls, the rest in drawing, timing and recording operations, which slows \
         ops/s but no call",
        percent(share)
    );
    (limit, why)
}

/// Threads beyond the cores take turns, and the turns are part of every latency.
fn crowded(facts: &Facts) -> Option<String> {
    (facts.threads > facts.cores).then(|| {
        let threads = threads_for(facts);
        let callers = callers(facts);
        let clients = callers.div_ceil(threads.into());
        let total = clients * u64::from(threads);
        let compared = if total == callers {
            "is the same number of callers".to_owned()
        } else {
            format!("are {total} callers instead of {callers}")
        };
        format!(
            "{} worker threads share {} cores{}; clients need no thread each: \
             --threads {threads} --clients {clients} {compared}",
            facts.threads,
            facts.cores,
            if facts.in_process { "" } else { " with the servers" },
        )
    })
}

/// The next command to try: fewer threads first, then fewer callers, then another machine.
fn advice(facts: &Facts) -> String {
    let threads = threads_for(facts);
    if facts.threads == 1 && facts.clients == 1 {
        return if facts.pipeline > 1 {
            format!("likely trusted: {}", command(&facts.arguments, &["--pipeline 1"]))
        } else {
            elsewhere(facts).to_owned()
        };
    }
    // A saturated closed loop stays saturated with somewhat fewer callers; one per thread is the
    // lightest load that still uses the threads.
    let threads = if facts.threads <= threads && facts.clients == 1 { 1 } else { threads };
    let callers = [&*format!("--threads {threads}"), "--clients 1"];
    format!("likely trusted: {}", command(&facts.arguments, &callers))
}

/// Where to measure when even the lightest load is too much here.
fn elsewhere(facts: &Facts) -> &'static str {
    if facts.in_process {
        "even one caller of the engine is too much for this machine just now: measure again when it is \
         quiet, or on another one"
    } else if facts.spawned {
        "even one client is too much for this machine beside its servers: run the servers \
         elsewhere and name them with --target"
    } else if facts.servers.iter().any(Option::is_some) {
        "even one client is too much for this machine beside its servers: run kv-bench on another \
         one"
    } else {
        "even one client is too much for this machine: run kv-bench on one with more cores"
    }
}

/// Half of the cores: the servers, if there are any, need the others.
fn threads_for(facts: &Facts) -> u32 {
    let cores = if facts.in_process { facts.cores } else { facts.cores / 2 };
    cores.max(1)
}

fn callers(facts: &Facts) -> u64 {
    u64::from(facts.threads) * u64::from(facts.clients)
}

/// The words of `arguments` as those of a single measurement at one rate.
pub(crate) fn at_rate(arguments: &[String], rate_ops_s: u64) -> Vec<String> {
    let mut words = vec!["run".to_owned()];
    words.extend(kept_words(arguments, &["--rate "]));
    words.extend(["--rate".to_owned(), rate_ops_s.to_string()]);
    words
}

/// The same command as a single measurement with other `callers` (flags with their values), which
/// leaves this run's files alone. Every other flag stays: it says what is measured.
fn command(arguments: &[String], callers: &[&str]) -> String {
    let words = kept_words(arguments, callers).into_iter().map(|word| quoted(&word));
    let words: Vec<String> = words.chain(callers.iter().map(|&flag| flag.to_owned())).collect();
    format!("kv-bench run {}", words.join(" "))
}

/// The words that stay when `callers` come in the place of others.
fn kept_words(arguments: &[String], callers: &[&str]) -> Vec<String> {
    const OF_THIS_RUN: [&str; 8] = [
        "--curve-time",
        "--rates",
        "--metrics-port",
        "--slo",
        "--time",
        "--out",
        "--json",
        "--json-out-file",
    ];
    const SUBCOMMANDS: [&str; 3] = ["run", "curve", "find-max"];
    /// Other spellings of `--rate`.
    const RATES: [&str; 2] = ["--rps", "--qps"];
    let replaced = |name: &str| {
        let name = if RATES.contains(&name) { "--rate" } else { name };
        let of_callers = |flag: &&str| flag.split_once(' ').is_some_and(|(flag, _)| flag == name);
        OF_THIS_RUN.contains(&name) || callers.iter().any(of_callers)
    };
    let mut words = Vec::new();
    let mut rest = arguments.iter().skip_while(|word| SUBCOMMANDS.contains(&word.as_str()));
    while let Some(word) = rest.next() {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        if let Some((others, _, value_follows)) =
            short_callers(word).filter(|(_, name, _)| replaced(name))
        {
            words.extend(others);
            if value_follows {
                rest.next();
            }
        } else if !replaced(name) {
            words.push(word.clone());
        } else if name == word {
            rest.next();
        }
    }
    words
}

/// For a word with a `-t`, `-c` or `-R` in any of their forms (`-t`, `-t32`, `-t=32`, `-qt32`): the flags
/// before it, if any, its long name, and whether its value is the next word.
fn short_callers(word: &str) -> Option<(Option<String>, &'static str, bool)> {
    let flags = word.strip_prefix('-').filter(|flags| !flags.starts_with('-'))?;
    let at = flags.find(['t', 'c', 'R'])?;
    let name = match flags.as_bytes()[at] {
        b't' => "--threads",
        b'c' => "--clients",
        _ => "--rate",
    };
    let (others, value) = (&flags[..at], &flags[at + 1..]);
    Some(((!others.is_empty()).then(|| format!("-{others}")), name, value.is_empty()))
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
