//! Domains: a category of records each, with the names that the program gave to NVTX's categories in it.

use std::sync::{Mutex, OnceLock, PoisonError, RwLock, TryLockError};

use ringscope::__private::{LEVEL_E2E, Site};
use ringscope::c_abi;

/// Category of records, and name of their tracks, of the domain that has no name.
const DEFAULT_NAME: &str = "nvtx";
/// Times that a lock is tried: a forked child may have inherited it locked for ever.
const TRIES: u32 = 1000;
/// Keys of the arguments, by [`Shape`].
const KEYS: [&[&str]; 4] = [&[], &["payload"], &["category"], &["payload", "category"]];

/// Which arguments a record has: payload 1, category 2.
pub(crate) type Shape = usize;

/// A domain; lives for ever.
#[derive(Debug)]
pub(crate) struct Domain {
    name: &'static str,
    /// The track of the ranges that are started and ended.
    pub(crate) track: &'static str,
    /// One a shape.
    sites: [&'static Site; KEYS.len()],
    categories: RwLock<Vec<(u32, &'static [u8])>>,
}

static ALL: Mutex<Vec<&'static Domain>> = Mutex::new(Vec::new());
static DEFAULT: OnceLock<Option<Domain>> = OnceLock::new();

/// The domain of records that name none; `None` without memory.
pub(crate) fn default() -> Option<&'static Domain> {
    DEFAULT.get_or_init(|| Domain::new(DEFAULT_NAME)).as_ref()
}

/// The domain of this name; `None` without memory.
pub(crate) fn named(name: &[u8]) -> Option<&'static Domain> {
    let name = String::from_utf8_lossy(name);
    let Some(mut all) = tried(|| ALL.try_lock()) else {
        return place(&name);
    };
    if let Some(known) = all.iter().find(|domain| domain.name == name) {
        return Some(known);
    }
    let domain = place(&name)?;
    all.push(domain);
    Some(domain)
}

fn place(name: &str) -> Option<&'static Domain> {
    Domain::new(kept(name)?).and_then(c_abi::place)
}

/// A copy that lives for ever.
fn kept(text: &str) -> Option<&'static str> {
    core::str::from_utf8(c_abi::copy(text.as_bytes())?).ok()
}

impl Domain {
    fn new(name: &'static str) -> Option<Domain> {
        let site = |keys| c_abi::site("(run-time name)", name, LEVEL_E2E, (file!(), line!()), keys);
        let [none, payload, category, both] = KEYS;
        Some(Domain {
            name,
            track: kept(&format!("{name} ranges"))?,
            sites: [site(none)?, site(payload)?, site(category)?, site(both)?],
            categories: RwLock::new(Vec::new()),
        })
    }

    /// The place of the domain's records that have these arguments.
    pub(crate) fn site(&self, shape: Shape) -> &'static Site {
        self.sites[shape]
    }

    /// Names a category; a later name takes the place of an earlier one.
    pub(crate) fn name_category(&self, category: u32, name: &[u8]) {
        let Some(name) = c_abi::copy(name) else {
            return;
        };
        let Some(mut names) = tried(|| self.categories.try_write()) else {
            return;
        };
        match names.iter_mut().find(|(number, _)| *number == category) {
            Some((_, known)) => *known = name,
            None => names.push((category, name)),
        }
    }

    /// The name of a category, where it has one.
    pub(crate) fn category_name(&self, category: u32) -> Option<&'static [u8]> {
        let names = tried(|| self.categories.try_read())?;
        let known = names.iter().find(|(number, _)| *number == category);
        known.map(|(_, name)| *name)
    }
}

/// What a lock guards, tried for a while.
pub(crate) fn tried<G>(lock: impl Fn() -> Result<G, TryLockError<G>>) -> Option<G> {
    for _ in 0..TRIES {
        match lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => {
                return Some(PoisonError::into_inner(poisoned));
            }
            Err(TryLockError::WouldBlock) => core::hint::spin_loop(),
        }
    }
    None
}
