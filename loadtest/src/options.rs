//! Options that all scenarios share.

use std::path::PathBuf;

use clap::Args;

use crate::Failure;
use crate::clock::SECOND;
use crate::payload::SMALLEST;
use crate::target::{Protocol, Target};
use crate::token::Tokens;

/// See the module.
#[derive(Args, Clone)]
pub struct Options {
    /// Address of the server.
    #[arg(long, default_value = "http://127.0.0.1:8000", conflicts_with = "server")]
    pub url: String,
    /// Address of its server API, when that has a port of its own.
    #[arg(long)]
    pub api_url: Option<String>,
    /// Let the addresses be on other machines.
    #[arg(long)]
    pub remote: bool,
    /// Start this command as the server for the run, `{port}` standing for a free port, and end it afterwards
    /// (with variables: env NAME=VALUE COMMAND).
    #[arg(long, value_name = "COMMAND")]
    pub server: Option<String>,
    /// Core that the server of --server is pinned to, and where the floor is measured.
    #[arg(long)]
    pub server_core: Option<usize>,
    /// Process id of the server: its CPU time and memory are read from /proc. Known with --server.
    #[arg(long, conflicts_with = "server")]
    pub pid: Option<u32>,
    /// Process id of one more process whose CPU time is told, such as the server's Redis.
    #[arg(long, value_name = "PID")]
    pub also_pid: Option<u32>,
    /// Cores for the workers, by turns; keep them apart from the server's.
    #[arg(long, value_delimiter = ',')]
    pub core: Vec<usize>,
    /// Threads that share the connections; their results are merged.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// Source addresses (127.0.0.1 and following) to connect from; one has some 28,000 ports. [default: as needed]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=250))]
    pub sources: Option<u32>,
    /// Key of the server API.
    #[arg(long, default_value = "loadtest", env = "LOADTEST_API_KEY", hide_env_values = true)]
    pub api_key: String,
    /// Connection token for all connections.
    #[arg(long)]
    pub token: Option<String>,
    /// Secret to sign a token of its own for each connection with (HS256).
    #[arg(long, env = "LOADTEST_HMAC_SECRET", hide_env_values = true)]
    pub hmac_secret: Option<String>,
    /// Encoding of the connections.
    #[arg(long, default_value = "json")]
    pub protocol: Protocol,
    /// Time before the measured part, such as 500ms, 2s, 5m.
    #[arg(long, default_value = "2s", value_parser = nanoseconds)]
    pub warmup: u64,
    /// The measured part, such as 10s, 2h.
    #[arg(long, default_value = "10s", value_parser = nanoseconds)]
    pub duration: u64,
    /// Time in which an open loop's rate grows from nothing to what is asked for, before the warm-up.
    #[arg(long, default_value = "0s", value_parser = nanoseconds)]
    pub ramp: u64,
    /// Connections opened a second before the load begins; as fast as they go through unless set.
    #[arg(long, value_parser = rate)]
    pub open_rate: Option<f64>,
    /// Bytes of a publication's data.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(SMALLEST as i64..=60_000))]
    pub size: u32,
    /// Also measure what the kernel alone charges for the same sends, on the server's core, in the same run.
    #[arg(long)]
    pub floor: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Write a page with plots.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl Options {
    /// The server at `url`.
    pub fn target(&self, url: &str) -> Result<Target, Failure> {
        let tokens = Tokens::new(self.token.as_deref(), self.hmac_secret.as_deref());
        Target::new(url, self.api_url.as_deref(), self.remote, &self.api_key, tokens)
    }
}

/// A time with its unit, as nanoseconds. At most ten days: stamps have no room for more.
pub fn nanoseconds(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let unit = match &text[at..] {
        "ms" => SECOND / 1000,
        "" | "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        _ => return Err("the unit must be ms, s, m or h, as in 500ms or 2h".to_owned()),
    };
    let value: f64 = text[..at].parse().map_err(|_| "this is no time; write it as 500ms, 10s, 5m or 2h".to_owned())?;
    let total = value * unit as f64;
    if !(0.0..=240.0 * 3600.0 * SECOND as f64).contains(&total) {
        return Err("a time must be between nothing and 240h".to_owned());
    }
    Ok(total as u64)
}

/// So many a second.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (1e-3..=1e8).contains(&rate) => Ok(rate),
        _ => Err("a rate is so many a second, from 0.001 to 100,000,000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in
            [("10", Some(10.0)), ("0.5s", Some(0.5)), ("500ms", Some(0.5)), ("2h", Some(7200.0)), ("1.5m", Some(90.0))]
                .into_iter()
                .chain(["", "x", "-1s", "3d", "241h", "NaNs"].map(|bad| (bad, None)))
        {
            let found = nanoseconds(text).ok().map(|ns| ns as f64 / SECOND as f64);
            assert_eq!(found, expected, "{text}");
        }
    }
}
