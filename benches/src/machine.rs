//! What machine the figures are from: printed with them and stored beside them.

use std::fmt;
use std::fs;

use ringscope_ringbuf::clock::detect;
use serde::{Deserialize, Serialize};

use crate::kernel::allowed_cores;

/// A machine, at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Processor, as it names itself.
    pub cpu: String,
    /// Instruction set.
    pub architecture: String,
    /// Cores that the program may use.
    pub cores: usize,
    /// True when a hypervisor stands between.
    pub virtual_machine: bool,
    /// Kernel and its version.
    pub kernel: String,
    /// Where ticks come from.
    pub clock_source: String,
    /// Processes that ran or waited at the beginning, over the last minute: above 0.1 the figures are noise.
    pub load: f64,
    /// When, in UTC.
    pub date: String,
    /// Version of the programs measured.
    pub version: String,
    /// True when compiled without optimisation: the times then mean nothing.
    pub debug_build: bool,
}

impl Machine {
    /// This machine, now.
    pub fn this() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let kernel = ["ostype", "osrelease"].map(|file| read(&format!("/proc/sys/kernel/{file}")));
        Machine {
            // arm64 kernels give no name, only numbers.
            cpu: field("model name")
                .or_else(|| field("CPU part"))
                .unwrap_or_default(),
            architecture: std::env::consts::ARCH.to_string(),
            cores: allowed_cores().len(),
            virtual_machine: field("flags").is_some_and(|flags| flags.contains(" hypervisor")),
            kernel: format!("{} {}", kernel[0].trim(), kernel[1].trim()),
            clock_source: detect().to_string(),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
            date: format!("{:.0}", jiff::Timestamp::now()),
            version: env!("CARGO_PKG_VERSION").to_string(),
            debug_build: cfg!(debug_assertions),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.cores == 1 { "" } else { "s" };
        write!(f, "{}, {} core{plural}", self.cpu, self.cores)?;
        if self.virtual_machine {
            f.write_str(" (virtual)")?;
        }
        write!(
            f,
            ", {}, {}, clock {}",
            self.architecture, self.kernel, self.clock_source
        )?;
        write!(
            f,
            ", load {}, {}, version {}",
            self.load, self.date, self.version
        )?;
        if self.debug_build {
            f.write_str(", NOT OPTIMISED: the times mean nothing")?;
        }
        Ok(())
    }
}
