//! One drawing of the live view, from its figures to cells of the terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Paragraph, RenderDirection, Sparkline};

use super::Picture;
use crate::number::{NOTHING, duration, grouped};
use crate::report::text;
use crate::result::Verdict;

/// Rows of the sparkline at most.
const SPARK_ROWS_MAX: u16 = 8;
/// Reasons that are shown of a judgement.
const REASONS_MAX: usize = 3;

pub(super) fn picture(frame: &mut Frame<'_>, picture: &Picture<'_>) {
    let area = frame.area();
    let trust = trust(picture);
    let trust_rows = (trust.len() as u16).min(area.height / 3);
    let servers_rows = (picture.servers.len() as u16).min((area.height / 4).max(1));
    let rows = [
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Length(servers_rows),
        Constraint::Length(1),
        Constraint::Length(trust_rows),
    ];
    let [head, rate, spark, _, figures, _, servers, _, judgement] =
        Layout::vertical(rows).areas(area);
    draw_head(frame, head, picture);
    let rate_text = format!("{} ops/s", grouped(picture.rate_ops_s.round() as u64));
    let text = vec![bold(rate_text), faint("  in the last second; below, the last minute")];
    frame.render_widget(Line::from(text), rate);
    draw_spark(frame, spark, &picture.history);
    frame.render_widget(Paragraph::new(figures_text(picture)), figures);
    frame.render_widget(Paragraph::new(servers_text(picture, servers)), servers);
    frame.render_widget(Paragraph::new(trust), judgement);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, picture: &Picture<'_>) {
    let [title, progress] = Layout::vertical([Constraint::Length(1); 2]).areas(area);
    let words = [bold("kv-bench".to_owned()), Span::raw(format!("  {}", picture.step))];
    frame.render_widget(Line::from(words.to_vec()), title);
    frame.render_widget(Line::from(faint("q or Ctrl-C ends it")).right_aligned(), title);
    let gauge = LineGauge::default()
        .ratio(picture.done.clamp(0.0, 1.0))
        .label(picture.progress.clone())
        .filled_symbol("█")
        .unfilled_symbol("░")
        .filled_style(colored(Color::Cyan));
    frame.render_widget(gauge, progress);
}

/// The newest second at the right edge.
fn draw_spark(frame: &mut Frame<'_>, area: Rect, history: &[u64]) {
    let area = Rect { height: area.height.min(SPARK_ROWS_MAX), ..area };
    let newest_first: Vec<u64> = history.iter().rev().copied().collect();
    let spark = Sparkline::default()
        .data(newest_first)
        .direction(RenderDirection::RightToLeft)
        .style(colored(Color::Cyan));
    frame.render_widget(spark, area);
}

fn figures_text(picture: &Picture<'_>) -> Vec<Line<'static>> {
    let live = picture.live;
    let what = if live.keeping.is_some() { "response" } else { "service " };
    let time = |ns: Option<u64>| ns.map_or(NOTHING.to_owned(), |ns| duration(ns as f64 / 1e3));
    let latest = live.latest;
    let mut latency = vec![faint(what)];
    for (name, ns) in [
        ("p50", latest.map(|l| l.p50_ns)),
        ("p99", latest.map(|l| l.p99_ns)),
        ("p99.9", latest.map(|l| l.p99_9_ns)),
        ("max", latest.map(|l| l.max_ns)),
    ] {
        latency.extend([Span::raw(format!("  {name} ")), bold(time(ns))]);
    }
    let failed = format!("  {}", grouped(live.failed));
    let failed = if live.failed > 0 { alarming(failed) } else { Span::raw(failed) };
    let mut errors = vec![faint("errors  "), failed];
    if let Some(kinds) = text::errors(&live.tally.errors) {
        errors.push(Span::raw(format!(": {kinds}")));
    }
    let waiting = match picture.note {
        Some(note) => alarming(format!("  {note}")),
        None if live.keeping.is_some() => Span::raw(format!(
            "  {} outstanding, {} due and not sent",
            grouped(live.outstanding),
            grouped(live.backlog)
        )),
        None => Span::raw(format!("  {} outstanding", grouped(live.outstanding))),
    };
    vec![Line::from(latency), Line::from(errors), Line::from(vec![faint("waiting "), waiting])]
}

fn servers_text(picture: &Picture<'_>, area: Rect) -> Vec<Line<'static>> {
    const BAR: usize = 20;
    let servers = &picture.servers;
    let names_max = usize::from(area.width) / 2;
    let width = servers.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let width = width.min(names_max);
    let line = |(name, share): &(String, f64)| {
        let name: String = name.chars().take(width).collect();
        let bar = "▪".repeat((share * BAR as f64).round() as usize);
        let share = format!("{name:width$}  {:5.1} %  ", share * 100.0);
        Line::from(vec![Span::raw(share), Span::styled(bar, colored(Color::Cyan))])
    };
    let rows = usize::from(area.height);
    let shown = if servers.len() > rows { rows.saturating_sub(1) } else { rows };
    let mut lines: Vec<Line<'static>> = servers.iter().take(shown).map(line).collect();
    if servers.len() > shown {
        lines.push(Line::from(faint(format!("and {} more servers", servers.len() - shown))));
    }
    lines
}

fn trust(picture: &Picture<'_>) -> Vec<Line<'static>> {
    let Some(trust) = picture.trust else {
        return vec![Line::from(faint("trust     not judged yet"))];
    };
    let word = match trust.verdict {
        Verdict::Trusted => Span::styled("trusted so far".to_owned(), colored(Color::Green)),
        Verdict::Untrusted => alarming("not trusted so far".to_owned()),
    };
    let limit = Span::raw(format!(", limited by {}", trust.limited_by));
    let reasons = text::distinct(&trust.reasons).take(REASONS_MAX);
    let reason = |reason: &String| {
        let shown: String = reason.chars().filter(|c| !c.is_control()).collect();
        Line::from(format!("        - {shown}"))
    };
    let first = Line::from(vec![faint("trust     "), word, limit]);
    std::iter::once(first).chain(reasons.map(reason)).collect()
}

fn bold(text: String) -> Span<'static> {
    Span::styled(text, Style::new().add_modifier(Modifier::BOLD))
}

fn faint(text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), Style::new().add_modifier(Modifier::DIM))
}

fn alarming(text: String) -> Span<'static> {
    Span::styled(text, colored(Color::Red).add_modifier(Modifier::BOLD))
}

/// A colour, for those who want colours (<https://no-color.org>).
fn colored(color: Color) -> Style {
    let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if wants_none { Style::new() } else { Style::new().fg(color) }
}
