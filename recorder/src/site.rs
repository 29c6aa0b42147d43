//! Places in the program: a static each, registered in the process file at its first record.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use ringscope_ringbuf::block::{Arg, Args as BlockArgs, Block, Site as SiteBlock};
use ringscope_ringbuf::layout::DropCause;
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::registration::Registration;

use crate::level;
use crate::name_table::{self, Use};
use crate::process::{self, Process};
use crate::value::Args;

/// Most arguments of a site.
const MAX_ARGS: usize = 12;

static NEXT_ID: AtomicU32 = AtomicU32::new(1);
/// Every registered site, newest first, so that a child can write them to its own file.
static ALL: AtomicPtr<Site> = AtomicPtr::new(ptr::null_mut());

/// A new id, for a site or a run-time name.
pub(crate) fn new_id() -> u32 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// A place in the program; made by the macros.
#[doc(hidden)]
#[derive(Debug)]
pub struct Site {
    registration: Registration,
    listed: AtomicBool,
    next: AtomicPtr<Site>,
    types: AtomicPtr<ArgType>,
    name: &'static str,
    category: &'static str,
    level: u8,
    file: &'static str,
    line: u32,
    keys: &'static [&'static str],
}

impl Site {
    /// A site that has not recorded yet.
    pub const fn new(
        name: &'static str,
        category: &'static str,
        level: u64,
        file: &'static str,
        line: u32,
        keys: &'static [&'static str],
    ) -> Site {
        assert!(
            keys.len() <= MAX_ARGS,
            "a span takes at most twelve arguments"
        );
        Site {
            registration: Registration::new(),
            listed: AtomicBool::new(false),
            next: AtomicPtr::new(ptr::null_mut()),
            types: AtomicPtr::new(ptr::null_mut()),
            name,
            category,
            level: level as u8,
            file,
            line,
            keys,
        }
    }

    /// Id for records with arguments of these types.
    #[inline(always)]
    pub(crate) fn id<A: Args>(&'static self, process: &Process) -> u32 {
        match self.registration.id(A::SIGNATURE) {
            Some(id) => id,
            None => self.register(A::SIGNATURE, A::TYPES, process),
        }
    }

    /// Id of a place that has recorded; 0, a placeholder, of one that has not.
    pub(crate) fn any_id(&self) -> u32 {
        self.registration.any_id().unwrap_or(0)
    }

    /// As [`Site::id`], for types that are known at run time only.
    #[cfg(feature = "c-abi")]
    pub(crate) fn id_of_types(&'static self, types: &'static [ArgType], process: &Process) -> u32 {
        let signature = crate::value::signature(types);
        match self.registration.id(signature) {
            Some(id) => id,
            None => self.register(signature, types, process),
        }
    }

    /// Id for records of this place under another name, made at run time.
    pub(crate) fn named_id<A: Args>(&'static self, name: &[u8], process: &Process) -> u32 {
        let what = Use::Site {
            site: self,
            signature: A::SIGNATURE,
            types: A::TYPES,
        };
        match name_table::find(what, name) {
            Some(name) => name.id_in(process),
            None => {
                process::count(DropCause::NameCap);
                self.id::<A>(process)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn register(
        &'static self,
        signature: u32,
        types: &'static [ArgType],
        process: &Process,
    ) -> u32 {
        if !self.takes(types) {
            // Code that is generic over the type of an argument has one static for all types.
            let what = Use::Site {
                site: self,
                signature,
                types,
            };
            return name_table::find(what, self.name.as_bytes())
                .map_or(0, |name| name.id_in(process));
        }
        let id = new_id();
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.list();
        }
        if !self.publish(id, types, process) {
            process::count(DropCause::UnknownSite);
        }
        self.registration.settle(signature, id)
    }

    /// True when the static stands for arguments of these types: those of its first record.
    fn takes(&self, types: &'static [ArgType]) -> bool {
        let mine = types.as_ptr().cast_mut();
        match self.types.compare_exchange(
            ptr::null_mut(),
            mine,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => true,
            // SAFETY: the pointer is to a static slice with one type a key, see `register`.
            Err(first) => unsafe { core::slice::from_raw_parts(first, self.keys.len()) == types },
        }
    }

    fn list(&'static self) {
        let this = ptr::from_ref(self).cast_mut();
        let mut first = ALL.load(Ordering::Acquire);
        loop {
            self.next.store(first, Ordering::Relaxed);
            match ALL.compare_exchange(first, this, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }

    fn publish(&self, id: u32, types: &[ArgType], process: &Process) -> bool {
        self.with_args(types, |args| {
            process.append(&Block::Site(self.block(id, BlockArgs::List(args))))
        })
    }

    /// Calls `then` with the site's arguments as they stand in a block.
    pub(crate) fn with_args<T>(&self, types: &[ArgType], then: impl FnOnce(&[Arg<'_>]) -> T) -> T {
        let empty = Arg {
            key: b"",
            arg_type: ArgType::Null,
            value: b"",
        };
        let mut args = [empty; MAX_ARGS];
        // A place whose records have no values has no arguments.
        let count = match level::keeps_values_out() {
            true => 0,
            false => types.len().min(self.keys.len()),
        };
        for (arg, (key, arg_type)) in args.iter_mut().zip(self.keys.iter().zip(types)) {
            *arg = Arg {
                key: key.as_bytes(),
                arg_type: *arg_type,
                value: b"",
            };
        }
        then(&args[..count])
    }

    /// The block of this site under `id`.
    pub(crate) fn block<'a>(&self, id: u32, args: BlockArgs<'a>) -> SiteBlock<'a> {
        SiteBlock {
            id,
            level: self.level,
            run_time: false,
            line: self.line,
            name: self.name.as_bytes(),
            category: self.category.as_bytes(),
            file: self.file.as_bytes(),
            args,
            constants: BlockArgs::List(&[]),
        }
    }
}

/// Writes every site that was registered before a fork to a child's process file.
pub(crate) fn publish_all(process: &Process) {
    let mut next = ALL.load(Ordering::Acquire);
    // SAFETY: only `list` links sites, which are statics.
    while let Some(site) = unsafe { next.as_ref() } {
        if let Some(id) = site.registration.any_id() {
            let types = site.types.load(Ordering::Acquire);
            // SAFETY: the types of a registered site are a static slice with one type a key.
            let types = unsafe { core::slice::from_raw_parts(types, site.keys.len()) };
            site.publish(id, types, process);
        }
        next = site.next.load(Ordering::Acquire);
    }
}
