//! The cases in C and C++, which record by what ringscope.h does inline: in this program, and in a plug-in that it loads.
//! They share the thread's ring with the cases in Rust.

use std::ffi::{CStr, c_char, c_void};
use std::rc::Rc;

use ringscope_benches::case::Subject;
use ringscope_benches::work::Work;
use ringscope_ringbuf::file::RingFile;
use ringscope_ringbuf::layout::RECORD_LEN;
// The functions that the header calls when it can't go on by itself.
use ringscope_capi as _;

/// Shared object with the cases of the plug-in.
const PLUG_IN: &str = concat!(env!("RINGSCOPE_BENCH_PLUG_IN"), "\0");
/// Cases of a table.
const TABLE_LEN: usize = 3;

/// `bench_case` of cases.c.
#[repr(C)]
struct Table {
    name: *const c_char,
    run: unsafe extern "C" fn(u64),
    run_around: unsafe extern "C" fn(u64, extern "C" fn(*mut c_void), *mut c_void),
    sample: unsafe extern "C" fn(*mut u32, u64),
}

// SAFETY: the tables are constants, to which nobody writes.
unsafe impl Sync for Table {}

unsafe extern "C" {
    static ringscope_bench_c: [Table; TABLE_LEN];
    #[cfg(cpp_cases)]
    static ringscope_bench_cpp: [Table; TABLE_LEN];
}

/// A case in another language.
struct Foreign {
    name: &'static str,
    table: &'static Table,
    ring: Rc<RingFile>,
}

/// All of them, for the thread that has `ring`.
///
/// # Errors
///
/// When the plug-in can't be loaded.
pub(crate) fn all(ring: &Rc<RingFile>) -> Result<Vec<Box<dyn Subject>>, String> {
    let mut tables: Vec<&'static Table> = Vec::new();
    // SAFETY: constants of this program, of the type that cases.c gives them.
    unsafe {
        tables.extend(&ringscope_bench_c);
        #[cfg(cpp_cases)]
        tables.extend(&ringscope_bench_cpp);
    }
    tables.extend(plug_in()?);
    let subject = |table: &'static Table| -> Box<dyn Subject> {
        // SAFETY: the names are literals of cases.c.
        let name = unsafe { CStr::from_ptr(table.name) };
        Box::new(Foreign {
            name: name.to_str().unwrap_or_default(),
            table,
            ring: Rc::clone(ring),
        })
    };
    Ok(tables.into_iter().map(subject).collect())
}

/// The table of the plug-in, which stays loaded.
fn plug_in() -> Result<&'static [Table; TABLE_LEN], String> {
    let failed = || {
        // SAFETY: dlerror gives null or a text that stays until the next such call.
        let why = unsafe { libc::dlerror().as_ref().map(|text| CStr::from_ptr(text)) };
        let why = why.map_or("unknown".into(), CStr::to_string_lossy);
        format!("load: {}: {why}", PLUG_IN.trim_end_matches('\0'))
    };
    // SAFETY: both names end in NUL; the object runs no code of its own when it is loaded, and the symbol is a table of
    // that type, in an object that is never unloaded.
    unsafe {
        let object = libc::dlopen(PLUG_IN.as_ptr().cast(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        if object.is_null() {
            return Err(failed());
        }
        let table = libc::dlsym(object, c"ringscope_bench_plug_in".as_ptr());
        let table: *const [Table; TABLE_LEN] = table.cast();
        table.as_ref().ok_or_else(failed)
    }
}

extern "C" fn step(work: *mut c_void) {
    // SAFETY: `run_around` passes on the work that it was given, and calls nothing else with it meanwhile.
    unsafe { &mut *work.cast::<Work>() }.step();
}

impl Subject for Foreign {
    fn name(&self) -> &'static str {
        self.name
    }

    fn records_per_call(&self) -> u64 {
        1
    }

    fn prepare(&mut self) {}

    fn finish(&mut self) {}

    fn bytes(&self) -> Option<u64> {
        let state = self.ring.state().ok()?;
        Some(state.head.sequence * RECORD_LEN as u64)
    }

    fn run(&mut self, calls: u64) {
        // SAFETY: a loop of cases.c, which takes any number.
        unsafe { (self.table.run)(calls) };
    }

    fn run_around(&mut self, calls: u64, work: &mut Work) {
        let work = std::ptr::from_mut(work).cast();
        // SAFETY: as above; `step` gets the work back.
        unsafe { (self.table.run_around)(calls, step, work) };
    }

    fn sample(&mut self, ticks: &mut [u32]) {
        // SAFETY: it writes as many elements as it is told there are.
        unsafe { (self.table.sample)(ticks.as_mut_ptr(), ticks.len() as u64) };
    }
}
