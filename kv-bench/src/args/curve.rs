//! What was typed behind `curve`, and without a subcommand.

use std::time::Duration;

use clap::Args;

use super::LoadArgs;
use crate::units;

const CURVE_HEADING: &str = "The curve";

const RATES_HELP: &str = "\
Measure offered loads, in operations per second, and not numbers of callers.

  auto         from a twelfth of what a closed loop achieves
               in a second to a little above it
  1k..50k      between two rates: in even steps, or in proportion
               where they are more than twentyfold apart
  1k..50k/8    eight of them; auto/8 too. Without a number as many as
               --curve-time has time for, 5 to 12
  1k,2k,5k     these

Each load is an open loop (see kv-bench run --help, --rate) over the same \
servers after one preload, and is measured --repeat times (2), all of them \
once before any is again, in an order that --seed shuffles. Before the next \
point all that was asked has its outcome. One whose servers have not done \
what was due after twice its time is broken off and kept as saturated. The \
result marks the knee of p99 and the load from which on less is achieved than \
offered. --threads and --clients are as with the highest --rate, or with a \
fifth more than the closed loop does. Examples: --rates auto; \
--rates 1k..100k/10 --repeat 3 --curve-time 1m";

const CURVE_EXIT_CODES: &str = "\
Exit codes: 0 fine; 1 the run failed or was cut short; 2 wrong usage; 5 untrusted under --strict.";

// What a curve refuses is not offered: it is hidden, and told by name to who types it all the same.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = CURVE_EXIT_CODES,
    mut_arg("rate", |arg| arg.hide(true)),
    mut_arg("chaos", |arg| arg.hide(true)),
    mut_arg("on_node_fail", |arg| arg.hide(true)),
    mut_arg("verify", |arg| arg.hide(true)),
    mut_arg("trace", |arg| arg.hide(true)),
    mut_arg("trace_format", |arg| arg.hide(true)),
    mut_arg("trace_speed", |arg| arg.hide(true))
)]
pub struct CurveArgs {
    #[command(flatten)]
    pub load: LoadArgs,

    /// Time for all points of the curve together; fewer points are measured to keep to it.
    ///
    /// Each point takes 1.2 s, which is the least; with --rates points are longer where there is time.
    /// Example: --curve-time 10s
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::duration,
        default_value = "30s",
        help_heading = CURVE_HEADING
    )]
    pub curve_time: Duration,

    /// Measure offered loads, in operations per second, and not numbers of callers: auto, 1k..50k.
    #[arg(long, value_name = "LOADS", long_help = RATES_HELP, help_heading = CURVE_HEADING)]
    pub rates: Option<String>,
}
