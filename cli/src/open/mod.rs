//! `open`: a trace in the Perfetto UI.
//!
//! The UI is a page of the web that works on what the browser gives it: the trace is served on the loopback interface,
//! to that page alone, and never leaves the machine.

mod server;

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

use ringscope_decode::{Limits, Options, Order, Timeline, pack, perfetto, trace};

use crate::cli::OpenArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::losses;
use crate::selection;
use crate::size::Size;
use server::{Server, Site};

/// First bytes of what the UI reads: JSON, gzip, and a packet of Perfetto's format.
const FIRST_BYTES: [u8; 4] = [b'{', b'[', 0x1F, 0x0A];

/// Address of a Perfetto UI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ui {
    /// Without a slash at the end.
    url: String,
    /// Scheme, host and port.
    origin: String,
}

impl FromStr for Ui {
    type Err = String;

    fn from_str(text: &str) -> Result<Ui, String> {
        let url = text.trim_end_matches('/');
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next());
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        match (rest, host) {
            (Some(rest), Some(host)) if !host.is_empty() && host.chars().all(is_good) => {
                let origin_len = url.len() - rest.len() + host.len();
                Ok(Ui {
                    origin: url[..origin_len].to_ascii_lowercase(),
                    url: url.to_owned(),
                })
            }
            _ => Err(format!(
                "expected an address such as http://localhost:10000, found {text:?}"
            )),
        }
    }
}

/// A trace to show.
struct Shown {
    file: File,
    len_bytes: u64,
    /// Letters, digits, points, dashes and underscores.
    name: String,
}

/// Runs `ringscope open`.
pub(crate) fn run(args: &OpenArgs) -> Result<ExitCode, Failure> {
    let shown = match &args.trace {
        Some(path) if path.is_file() && !pack::is_pack(path) => trace_at(path)?,
        run => decoded(run.as_deref(), &args.limits.limits())?,
    };
    let site = Site::new(shown.file, shown.len_bytes, &shown.name, &args.ui.origin);
    let server = Server::start(site, args.port)?;
    let address = format!("{}/#!/?url={}", args.ui.url, server.url());
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{address}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))?;
    drop(stdout);
    eprintln!(
        "{}, {}, is served until it was read; Ctrl-C ends this earlier",
        shown.name,
        Size::new(shown.len_bytes)
    );
    if !args.no_browser && io::stderr().is_terminal() && has_screen() {
        start_browser(&address);
    }
    server.wait_until_read()?;
    Ok(ExitCode::Good)
}

/// The file at `path`, when it begins as a trace does.
fn trace_at(path: &Path) -> Result<Shown, Failure> {
    let failed = |error: io::Error| Failure::io("open", path, &error);
    let file = File::open(path).map_err(failed)?;
    let len_bytes = file.metadata().map_err(failed)?.len();
    let mut start = [0; 64];
    let len = file.read_at(&mut start, 0).map_err(failed)?;
    let first = start[..len]
        .iter()
        .find(|byte| !byte.is_ascii_whitespace() || **byte == 0x0A);
    if !first.is_some_and(|byte| FIRST_BYTES.contains(byte)) {
        let why =
            "expected a trace (Chrome JSON or Perfetto's format, as it is or by gzip) or a run";
        return Err(Failure::new("open", path.display(), why));
    }
    Ok(Shown {
        file,
        len_bytes,
        name: plain_name(path),
    })
}

/// A run, decoded into a file without a name.
fn decoded(run: Option<&Path>, limits: &Limits) -> Result<Shown, Failure> {
    let run = selection::open_one(run, limits)?;
    let name = plain_name(&run.dir) + ".pftrace";
    let timeline = Timeline::build(&[run], &Options::default())
        .map_err(|error| Failure::of("decode", error))?;
    losses::complain(&timeline);
    let failed = |error: io::Error| Failure::new("decode", "temporary file", error);
    let file = tempfile::tempfile().map_err(failed)?;
    let format = perfetto::Perfetto::new(&timeline);
    let output = trace::Output::File(&file);
    trace::write(&timeline, &format, Order::Time, output, &|_| {}).map_err(failed)?;
    let len_bytes = file.metadata().map_err(failed)?.len();
    Ok(Shown {
        file,
        len_bytes,
        name,
    })
}

/// The name of a file, made of what no part of an address gives a meaning to.
fn plain_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or("trace".as_ref());
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => c,
        _ => '_',
    };
    name.to_string_lossy().chars().map(plain).collect()
}

fn has_screen() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .into_iter()
        .any(|variable| env::var_os(variable).is_some_and(|value| !value.is_empty()))
}

/// The address was printed: where there is no browser to start, people open it themselves.
fn start_browser(address: &str) {
    let mut command = Command::new("xdg-open");
    command
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Nobody waits for it: this process ends soon after.
    let _ = command.spawn();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_ui_is_scheme_host_and_port() {
        let origin = |text: &str| text.parse::<Ui>().map(|ui| ui.origin);
        assert_eq!(
            origin("https://ui.perfetto.dev"),
            Ok("https://ui.perfetto.dev".to_owned())
        );
        assert_eq!(
            origin("http://LOCALHOST:10000/v1/"),
            Ok("http://localhost:10000".to_owned())
        );
        for bad in [
            "",
            "ui.perfetto.dev",
            "ftp://x",
            "https://",
            "https:///x",
            "http://a b",
            "http://a@b",
            "http://a\r\nb",
        ] {
            assert!(origin(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_in_addresses_are_plain() {
        assert_eq!(plain_name(Path::new("/tmp/a b&c#é.json")), "a_b_c__.json");
        assert_eq!(plain_name(Path::new("/")), "trace");
    }
}
