//! A program that records what its first argument says, so that a test can compute what must be in its files:
//! `writer MODE key=value …`.

mod deaths;
mod fork_cost;
mod forks;
mod host;
mod launches;
mod messages;
mod numbered;
mod off;
mod open;
mod options;
mod output;
#[expect(unreachable_pub, reason = "the judge is built from the same file")]
mod script;
mod signals;
mod soak;
mod steps;
mod strings;
#[expect(unreachable_pub, reason = "the judge is built from the same file")]
mod texts;
mod timer;
mod times;

use options::Options;

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let options = Options::read(arguments);
    match mode.as_str() {
        "deaths" => deaths::run(&options),
        "fork-cost" => fork_cost::run(&options),
        "forks" => forks::run(&options),
        "host" => return host::run(),
        "launches" => launches::run(),
        "messages" => messages::run(&options),
        "numbered" => numbered::run(&options),
        "off" => off::run(&options),
        "open" => open::run(),
        "signals" => signals::run(&options),
        "soak" => soak::run(&options),
        "steps" => return steps::run(),
        "strings" => strings::run(),
        "times" => times::run(&options),
        _ => {
            eprintln!("writer: mode: {mode}: there is no such mode");
            return std::process::ExitCode::from(2);
        }
    }
    std::process::ExitCode::SUCCESS
}
