//! ringscope itself, as a mark among its peers; `hot_path` measures it in full.

use std::path::Path;

use ringscope_benches::case::{Case, Subject};

use crate::peer::Troupe;

pub(crate) struct Ringscope;

impl Ringscope {
    pub(crate) fn set_up(dir: &Path) -> Result<Ringscope, String> {
        let config = ringscope::Config::new().dir(dir).ring_size(1 << 20);
        ringscope::init(config).map_err(|error| error.to_string())?;
        Ok(Ringscope)
    }
}

impl Troupe for Ringscope {
    fn cases(&self) -> Vec<Box<dyn Subject>> {
        vec![Box::new(Span), Box::new(Instant)]
    }
}

struct Span;

impl Case for Span {
    const NAME: &'static str = "span";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let _span = ringscope::span!("span");
        inside();
    }
}

struct Instant;

impl Case for Instant {
    const NAME: &'static str = "instant";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        ringscope::instant!("instant");
        inside();
    }
}
