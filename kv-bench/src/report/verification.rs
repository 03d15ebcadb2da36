//! What `--verify` found, in words.

use crate::number::grouped;
use crate::result::{FindingCounts, Verification};

/// What reads were wrong, if any were; with the first of them.
pub(crate) fn wrong_reads(found: &Verification) -> Option<String> {
    let told = |counts: &FindingCounts| {
        let kinds = [
            ("stale", counts.stale),
            ("lost", counts.lost),
            ("foreign", counts.foreign),
            ("corrupt", counts.corrupt),
        ];
        let kinds = kinds.into_iter().filter(|&(_, count)| count > 0);
        let kinds: Vec<String> =
            kinds.map(|(kind, count)| format!("{} {kind}", grouped(count))).collect();
        kinds.join(", ")
    };
    let measured = Some(&found.measured).filter(|counts| counts.wrong() > 0);
    let audit = found.audit.as_ref().filter(|counts| counts.wrong() > 0);
    let parts = measured.map(|counts| {
        format!(
            "{} of {} reads were wrong: {}",
            grouped(counts.wrong()),
            grouped(counts.checked),
            told(counts)
        )
    });
    let audited = audit.map(|counts| {
        format!(
            "after it {} of {} keys were: {}",
            grouped(counts.wrong()),
            grouped(counts.checked),
            told(counts)
        )
    });
    let parts: Vec<String> = parts.into_iter().chain(audited).collect();
    let first = found.first.as_ref().map_or_else(String::new, |first| format!(" ({first})"));
    (!parts.is_empty()).then(|| format!("{}{first}", parts.join("; ")))
}

/// What was verified, in a line.
pub(super) fn line(found: &Verification) -> String {
    let counts = &found.measured;
    let nothing = counts.checked == 0 && found.audit.is_none_or(|audit| audit.checked == 0);
    let right = if nothing { "nothing could be checked" } else { "none was wrong" };
    let wrong = wrong_reads(found).unwrap_or_else(|| right.to_owned());
    let unknown = match counts.unknown {
        0 => String::new(),
        unknown => format!(", {} of keys that this run had not written", grouped(unknown)),
    };
    let audit = match (&found.audit, found.unread) {
        (Some(audit), Some(unread)) if unread > 0 => {
            let all = audit.checked + audit.unknown + unread;
            format!(", and then {} of {} keys (others failed)", grouped(all - unread), grouped(all))
        }
        (Some(audit), _) => format!(", and then {} keys", grouped(audit.checked + audit.unknown)),
        (None, _) => ", and not every key afterwards".to_owned(),
    };
    format!("verified: {} reads{unknown}{audit}: {wrong}", grouped(counts.checked))
}
