//! Workloads that have a name.

use std::time::Duration;

/// A workload with a name: what its flags would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    pub mix: &'static str,
    pub key_distribution: &'static str,
    pub value_size: &'static str,
    /// Gets that find nothing are followed by puts, and nothing is preloaded unless that is asked for.
    pub is_cache: bool,
}

/// How long the keys of a cache live, unless `--ttl` says.
pub(crate) const CACHE_TTL: Duration = Duration::from_mins(1);

/// What is left out of it is to be told.
const MIXGRAPH: &str = "mixgraph";

/// YCSB's core workloads draw from its scrambled generator, and a record is ten fields of 100 bytes;
/// it is one value here, of which a put writes all and YCSB's update one field. Its `latest` draws as its
/// `ycsb-zipfian` does, and ours as Zipf's law says. Facebook's model says
/// sizes and how often gets come (30 for each update), but not which keys are popular: that they
/// follow Zipf's law is ours, and so is `cache`.
const PRESETS: [Preset; 8] = [
    Preset {
        name: "ycsb-a",
        mix: "get=50,put=50",
        key_distribution: "ycsb-scrambled",
        value_size: "1000",
        is_cache: false,
    },
    Preset {
        name: "ycsb-b",
        mix: "get=95,put=5",
        key_distribution: "ycsb-scrambled",
        value_size: "1000",
        is_cache: false,
    },
    Preset {
        name: "ycsb-c",
        mix: "get=100",
        key_distribution: "ycsb-scrambled",
        value_size: "1000",
        is_cache: false,
    },
    Preset {
        name: "ycsb-d",
        mix: "get=95,insert=5",
        key_distribution: "latest:0.99",
        value_size: "1000",
        is_cache: false,
    },
    Preset {
        name: "ycsb-f",
        mix: "get=50,rmw=50",
        key_distribution: "ycsb-scrambled",
        value_size: "1000",
        is_cache: false,
    },
    Preset {
        name: "facebook-etc",
        mix: "get=30,put=1",
        key_distribution: "zipfian:0.99",
        value_size: "facebook-etc",
        is_cache: false,
    },
    Preset {
        name: MIXGRAPH,
        mix: "get=83,put=14",
        key_distribution: "mixgraph",
        value_size: "pareto:0:25.45:0.2615:1024",
        is_cache: false,
    },
    Preset {
        name: "cache",
        mix: "get=100",
        key_distribution: "zipfian:0.99",
        value_size: "100",
        is_cache: true,
    },
];

/// Well-known workloads that are not here, and why.
const REFUSED: [(&str, &str); 1] =
    [("ycsb-e", "it scans keys in their order, and SCAN of Redis goes through them in none")];

impl Preset {
    /// What of the workload is left out.
    pub(crate) fn lacks(&self) -> Option<&'static str> {
        (self.name == MIXGRAPH).then_some(
            "mixgraph is without its seeks, 3 % of its operations: they go through keys in their \
             order, and SCAN of Redis goes through them in none; its keys are 48 bytes long, and \
             these 16, or 20 on running servers",
        )
    }

    /// The preset of this name, in any case.
    ///
    /// # Errors
    ///
    /// Says why a workload is not here, and which are.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        let name = name.trim().to_ascii_lowercase();
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let why = REFUSED.iter().find(|(refused, _)| *refused == name);
            let why = why.map_or("no such workload", |(_, why)| why);
            format!("{why} (known: {})", PRESETS.map(|preset| preset.name).join(", "))
        })
    }
}
