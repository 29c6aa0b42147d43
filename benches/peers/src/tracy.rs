//! tracy-client: zones without call stacks. Nobody takes them off its queue, so it grows: with a server it would not, and
//! cost about the floor.

use ringscope_benches::case::{Case, Subject};
use tracy_client::Client;

use crate::peer::Troupe;

pub(crate) struct Tracy {
    _client: Client,
}

impl Tracy {
    pub(crate) fn set_up() -> Tracy {
        Tracy {
            _client: Client::start(),
        }
    }
}

impl Troupe for Tracy {
    fn cases(&self) -> Vec<Box<dyn Subject>> {
        vec![Box::new(Zone)]
    }
}

struct Zone;

impl Case for Zone {
    const NAME: &'static str = "zone";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let _zone = tracy_client::span!("span");
        inside();
    }
}
