//! tracing-chrome: a layer that writes Chrome trace JSON. Records go to its thread by a channel without bounds: where they
//! come faster than it writes, they wait in memory.

use std::path::Path;
use std::sync::Mutex;

use ringscope_benches::case::Subject;
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::peer::Troupe;

pub(crate) struct Chrome {
    /// Writes the rest when it is dropped.
    _guard: Mutex<FlushGuard>,
}

impl Chrome {
    pub(crate) fn set_up(dir: &Path) -> Result<Chrome, String> {
        let (layer, guard) = ChromeLayerBuilder::new()
            .file(dir.join("chrome.json"))
            .build();
        tracing::subscriber::set_global_default(Registry::default().with(layer))
            .map_err(|error| format!("subscribe: tracing: {error}"))?;
        Ok(Chrome {
            _guard: Mutex::new(guard),
        })
    }
}

impl Troupe for Chrome {
    fn cases(&self) -> Vec<Box<dyn Subject>> {
        crate::tracing::cases()
    }
}
