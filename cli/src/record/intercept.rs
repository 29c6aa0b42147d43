//! Libraries that record an unmodified program from inside: where they are, and how the program comes to load them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;

/// The variable that NVTX takes the path of its injection library from.
const NVTX_VARIABLE: &str = "NVTX_INJECTION64_PATH";
const NVTX_LIBRARY: &str = "libringscope_nvtx.so";

/// The variable that OpenCL's loader takes the paths of its layers from, and what stands between two of them.
const OPENCL_VARIABLE: &str = "OPENCL_LAYERS";
const OPENCL_SEPARATOR: &str = ":";
const OPENCL_LIBRARY: &str = "libringscope_opencl.so";

/// Where interceptors are installed, beside the folder of programs.
const INSTALLED: &str = "libexec/ringscope";

/// What is recorded of programs that do not use ringscope themselves.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is recorded")]
pub(crate) struct InterceptArgs {
    /// Record NVTX annotations too, by libringscope_nvtx.so beside this program or in ../libexec/ringscope
    #[arg(long)]
    pub(crate) nvtx: bool,
    /// Record what OpenCL is told to do and when devices did it, by libringscope_opencl.so, found likewise
    #[arg(long)]
    pub(crate) opencl: bool,
}

impl InterceptArgs {
    /// What the program's environment needs for it; tells of a variable of the user's that gives way.
    pub(crate) fn environment(&self) -> Result<Vec<(&'static str, OsString)>, Failure> {
        let mut environment = Vec::new();
        if self.nvtx {
            environment.push((NVTX_VARIABLE, nvtx_library()?));
        }
        if self.opencl {
            environment.push((OPENCL_VARIABLE, opencl_layers()?));
        }
        Ok(environment)
    }
}

/// NVTX loads one library.
fn nvtx_library() -> Result<OsString, Failure> {
    let library = find_library(NVTX_LIBRARY)?;
    if let Some(set) = env::var_os(NVTX_VARIABLE).filter(|set| *set != *library) {
        eprintln!(
            "ringscope: record: {NVTX_VARIABLE}: {}: gives way to {} in the program, as --nvtx asks",
            Path::new(&set).display(),
            library.display()
        );
    }
    Ok(library.into_os_string())
}

/// The layers that were named already, and ours behind them.
fn opencl_layers() -> Result<OsString, Failure> {
    let library = find_library(OPENCL_LIBRARY)?.into_os_string();
    let Some(mut layers) = env::var_os(OPENCL_VARIABLE).filter(|set| !set.is_empty()) else {
        return Ok(library);
    };
    layers.push(OPENCL_SEPARATOR);
    layers.push(library);
    Ok(layers)
}

/// The library of this name that was built or installed with this program: `install.sh` and the wheel put it into libexec.
fn find_library(name: &str) -> Result<PathBuf, Failure> {
    let program =
        env::current_exe().map_err(|error| Failure::new("record", "this program", error))?;
    let here = program.parent().unwrap_or(Path::new("/"));
    let above = here.parent().unwrap_or(here);
    let places = [here.to_owned(), above.join(INSTALLED)].map(|folder| folder.join(name));
    let [beside, installed] = &places;
    let why = || {
        format!(
            "expected {} or {}: found neither; `./install.sh PREFIX` in the source tree and `pip install ./python` \
             install program and library together",
            beside.display(),
            installed.display()
        )
    };
    let found = places.iter().find(|place| place.is_file());
    found
        .cloned()
        .ok_or_else(|| Failure::new("record", name, why()))
}
