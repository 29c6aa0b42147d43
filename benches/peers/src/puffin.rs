//! puffin: scopes. A thread hands its scopes over when the outermost one ends, so that is put around many of them; frames
//! are ended at the same time, as a game does, and nobody takes them.

use puffin::{GlobalProfiler, ProfilerScope};
use ringscope_benches::case::{Case, Subject};

use crate::peer::Troupe;

/// Scopes inside an outermost one.
const SCOPES_OF_A_FRAME: u64 = 1_000;

pub(crate) struct Puffin;

impl Puffin {
    pub(crate) fn set_up() -> Puffin {
        puffin::set_scopes_on(true);
        Puffin
    }
}

impl Troupe for Puffin {
    fn cases(&self) -> Vec<Box<dyn Subject>> {
        let scope = Scope {
            frame: None,
            scopes: 0,
        };
        vec![Box::new(scope)]
    }
}

struct Scope {
    frame: Option<ProfilerScope>,
    scopes: u64,
}

impl Scope {
    #[inline(never)]
    fn renew_frame(&mut self) {
        self.frame = None;
        GlobalProfiler::lock().new_frame();
        self.frame = puffin::profile_scope_custom!("frame");
        self.scopes = 0;
    }
}

impl Case for Scope {
    const NAME: &'static str = "scope";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        if self.scopes == SCOPES_OF_A_FRAME {
            self.renew_frame();
        }
        self.scopes += 1;
        puffin::profile_scope!("span");
        inside();
    }

    fn before(&mut self) {
        self.renew_frame();
    }

    fn after(&mut self) {
        self.frame = None;
    }
}
