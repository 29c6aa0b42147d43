//! What can't be tested on this machine: said, so that a test that was left out is not taken for one that passed.

use std::io::Write;

/// Says that `what` is not tested here, and why. Goes to standard error itself, since test harnesses hide what passing
/// tests print; `ci/test` repeats these lines at its end.
pub fn not_run_here(what: &str, because: &str) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "not run here: {what}, because {because}");
}

/// True for root, who may mount file systems and become other users; others are told that `what` is not tested.
pub fn is_root(what: &str) -> bool {
    // SAFETY: geteuid takes nothing and can't fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        not_run_here(what, "it needs root");
    }
    root
}

/// True when the command `program` is there; otherwise it is told that `what` is not tested.
pub fn has_program(program: &str, what: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        not_run_here(what, &format!("{program} is not installed"));
    }
    found
}
