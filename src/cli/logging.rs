//! The log: one JSON object a line as the reference writes it, or lines for people on a terminal.
//!
//! Mirrors `internal/logging`: JSON goes to the standard error output, the form for people to a terminal on the
//! standard output, and everything to `log.file` when that is set. `level` comes first, then the fields, `time` and
//! `message`.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Target of events after which the process ends. They are logged as `fatal`.
pub const FATAL: &str = "fatal";

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Threshold {
    None,
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Threshold {
    /// `None` for a name that is no level.
    fn of(name: &str) -> Option<Threshold> {
        Some(match name.to_ascii_lowercase().as_str() {
            "none" => Threshold::None,
            "fatal" => Threshold::Fatal,
            "error" => Threshold::Error,
            "warn" => Threshold::Warn,
            "info" => Threshold::Info,
            "debug" => Threshold::Debug,
            "trace" => Threshold::Trace,
            _ => return None,
        })
    }

    fn of_event(metadata: &Metadata<'_>) -> Threshold {
        match *metadata.level() {
            Level::ERROR if metadata.target() == FATAL => Threshold::Fatal,
            Level::ERROR => Threshold::Error,
            Level::WARN => Threshold::Warn,
            Level::INFO => Threshold::Info,
            Level::DEBUG => Threshold::Debug,
            Level::TRACE => Threshold::Trace,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Threshold::None => "none",
            Threshold::Fatal => "fatal",
            Threshold::Error => "error",
            Threshold::Warn => "warn",
            Threshold::Info => "info",
            Threshold::Debug => "debug",
            Threshold::Trace => "trace",
        }
    }
}

/// Sets the log of the process up. An unknown level counts as `info` and is warned about.
///
/// # Errors
/// When the log file cannot be opened, or the log was set up before.
pub fn set_up(level: &str, file: &str) -> io::Result<()> {
    let known = Threshold::of(level);
    let threshold = known.unwrap_or(Threshold::Info);
    let filter = FilterFn::new(move |metadata: &Metadata<'_>| Threshold::of_event(metadata) <= threshold);
    let layer = tracing_subscriber::fmt::layer();
    let registry = tracing_subscriber::registry();
    let done = if !file.is_empty() {
        let file = OpenOptions::new().create(true).append(true).open(file)?;
        registry.with(layer.event_format(Json).with_writer(Mutex::new(file)).with_filter(filter)).try_init()
    } else if io::stdout().is_terminal() {
        registry.with(layer.event_format(Console).with_writer(io::stdout).with_filter(filter)).try_init()
    } else {
        registry.with(layer.event_format(Json).with_writer(io::stderr).with_filter(filter)).try_init()
    };
    done.map_err(io::Error::other)?;
    if known.is_none() {
        tracing::warn!("unknown log level {level}, defaulting to INFO");
    }
    Ok(())
}

/// One JSON object a line.
struct Json;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Json {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let fields = Fields::of(event, true);
        out.write_str(&json_line(Threshold::of_event(event.metadata()), &fields, unix_now()))
    }
}

fn json_line(level: Threshold, fields: &Fields, now: u64) -> String {
    let mut line = format!("{{\"level\":\"{}\"", level.name());
    for (name, value) in &fields.others {
        let _ = write!(line, ",{}:{value}", quote(name));
    }
    let _ = writeln!(line, ",\"time\":\"{}\",\"message\":{}}}", rfc3339(now), quote(&fields.message));
    line
}

/// Lines for people.
struct Console;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Console {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let fields = Fields::of(event, false);
        out.write_str(&console_line(Threshold::of_event(event.metadata()), &fields, unix_now()))
    }
}

fn console_line(level: Threshold, fields: &Fields, now: u64) -> String {
    let (short, colour) = match level {
        Threshold::Trace => ("TRC", 35),
        Threshold::Debug => ("DBG", 33),
        Threshold::Info => ("INF", 32),
        Threshold::Warn => ("WRN", 33),
        Threshold::Error => ("ERR", 31),
        Threshold::Fatal | Threshold::None => ("FTL", 31),
    };
    let time = rfc3339(now).replace('T', " ").replace('Z', "");
    let mut line = format!("\x1b[90m{time}\x1b[0m \x1b[{colour}m{short}\x1b[0m {}", fields.message);
    for (name, value) in &fields.others {
        let _ = write!(line, " \x1b[36m{name}=\x1b[0m{value}");
    }
    line.push('\n');
    line
}

/// Message and fields of an event; values as they stand in the line.
#[derive(Default)]
struct Fields {
    json: bool,
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn of(event: &Event<'_>, json: bool) -> Fields {
        let mut fields = Fields { json, ..Fields::default() };
        event.record(&mut fields);
        fields
    }

    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            name => {
                // A line break would make two lines of one event.
                let plain = !self.json && !text.contains(|c: char| c.is_control() || c == ' ' || c == '"');
                self.others.push((name, if plain { text } else { quote(&text) }));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), value.to_string()));
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Unix seconds as `2026-11-25T01:53:12Z`.
fn rfc3339(unix_s: u64) -> String {
    let (days, rest) = (unix_s / 86_400, unix_s % 86_400);
    // Days since 0000-03-01 in years that end in February, where leap days come last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_calendar() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_571_592, "2026-11-25T01:53:12Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(unix), text);
        }
    }

    #[test]
    fn a_line_is_an_object_in_the_order_of_the_reference() {
        let fields = Fields {
            json: true,
            message: "say \"hi\"\n".to_owned(),
            others: vec![("key", quote("a b")), ("count", "3".to_owned())],
        };
        assert_eq!(
            json_line(Threshold::Fatal, &fields, 0),
            "{\"level\":\"fatal\",\"key\":\"a b\",\"count\":3,\"time\":\"1970-01-01T00:00:00Z\",\
             \"message\":\"say \\\"hi\\\"\\n\"}\n"
        );
    }

    #[test]
    fn levels_by_name() {
        assert_eq!(Threshold::of("WARN"), Some(Threshold::Warn));
        assert_eq!(Threshold::of("none"), Some(Threshold::None));
        assert_eq!(Threshold::of("loud"), None);
        assert!(Threshold::Error <= Threshold::of("info").unwrap() && Threshold::Debug > Threshold::Info);
    }
}
