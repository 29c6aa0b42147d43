//! The paged KV cache: keys and values of all sequences of one compute thread.
//!
//! The cache is cut into pages of [`PAGE_TOKENS`] positions. A sequence owns whole pages and names them in its page
//! table; a page number means the same place in every layer.

use crate::weights::{LAYERS, WIDTH};

/// Positions that one page holds.
pub(crate) const PAGE_TOKENS: usize = 16;

/// Pages of one sequence, in the order of its positions.
#[derive(Debug, Default)]
pub(crate) struct PageTable(Vec<usize>);

/// Keys and values of one layer: `[pages, PAGE_TOKENS, WIDTH]` each.
struct LayerCache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Keys and values of all layers, and the pages nobody uses.
pub(crate) struct KvCache {
    layers: Vec<LayerCache>,
    free: Vec<usize>,
}

impl KvCache {
    /// A cache of `pages` free pages.
    pub(crate) fn new(pages: usize) -> Self {
        let floats = pages * PAGE_TOKENS * WIDTH;
        let layers = (0..LAYERS)
            .map(|_| LayerCache {
                keys: vec![0.0; floats],
                values: vec![0.0; floats],
            })
            .collect();
        Self {
            layers,
            free: (0..pages).rev().collect(),
        }
    }

    /// Number of pages nobody uses.
    pub(crate) fn free_pages(&self) -> usize {
        self.free.len()
    }

    /// Gives `table` enough pages for `len` positions; false when the cache is full.
    #[must_use]
    pub(crate) fn reserve(&mut self, table: &mut PageTable, len: usize) -> bool {
        while table.0.len() * PAGE_TOKENS < len {
            match self.free.pop() {
                Some(page) => table.0.push(page),
                None => return false,
            }
        }
        true
    }

    /// Takes back the pages of a finished sequence.
    pub(crate) fn release(&mut self, table: PageTable) {
        self.free.extend(table.0.into_iter().rev());
    }

    /// Stores key and value, `[WIDTH]` each, of one position in a page reserved before.
    pub(crate) fn write(
        &mut self,
        layer: usize,
        table: &PageTable,
        position: usize,
        key: &[f32],
        value: &[f32],
    ) {
        let place = table.floats_at(position);
        self.layers[layer].keys[place.clone()].copy_from_slice(key);
        self.layers[layer].values[place].copy_from_slice(value);
    }

    /// The key of one position: `[WIDTH]`.
    pub(crate) fn key(&self, layer: usize, table: &PageTable, position: usize) -> &[f32] {
        &self.layers[layer].keys[table.floats_at(position)]
    }

    /// The value of one position: `[WIDTH]`.
    pub(crate) fn value(&self, layer: usize, table: &PageTable, position: usize) -> &[f32] {
        &self.layers[layer].values[table.floats_at(position)]
    }
}

impl PageTable {
    /// Where the floats of a position stand in a layer's keys and values.
    fn floats_at(&self, position: usize) -> std::ops::Range<usize> {
        let row = self.0[position / PAGE_TOKENS] * PAGE_TOKENS + position % PAGE_TOKENS;
        row * WIDTH..(row + 1) * WIDTH
    }
}
