//! Texts that are written once and then referred to by number.

use std::collections::HashMap;

use super::fields::{event, interned, packet};
use super::wire::{put_message, put_text, put_uint};
use crate::args;
use crate::event::{Event, EventKind};
use crate::timeline::Timeline;

/// A list of texts; the first has number 1.
#[derive(Default)]
struct Texts {
    ids: HashMap<String, u64>,
    in_order: Vec<String>,
}

impl Texts {
    fn id(&mut self, text: &str) -> u64 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        self.in_order.push(text.to_owned());
        let id = self.in_order.len() as u64;
        self.ids.insert(text.to_owned(), id);
        id
    }

    fn put(&self, out: &mut Vec<u8>, field: u32) {
        for (id, text) in (1..).zip(&self.in_order) {
            put_message(out, field, |out| {
                put_uint(out, interned::IID, id);
                put_text(out, interned::TEXT, text);
            });
        }
    }
}

/// What events of one site have in common.
struct SiteNames {
    /// Name and category, as fields of an event.
    fields: Vec<u8>,
    /// Keys of its constants and arguments, in the order in which events carry them.
    keys: Vec<(String, u64)>,
}

/// Names, categories and keys of a time line.
pub(super) struct Names {
    sites: Vec<SiteNames>,
    lost: Vec<u8>,
    arrow: Vec<u8>,
    unnamed: Vec<u8>,
    flow_category: u64,
    async_category: u64,
    names: Texts,
    categories: Texts,
    keys: Texts,
}

impl Names {
    pub(super) fn of(timeline: &Timeline) -> Names {
        let (mut names, mut categories, mut keys) = Default::default();
        let mut of_site =
            |name: &str, category: &str| fields(&mut names, &mut categories, name, category);
        let sites = timeline.sites.iter().map(|site| SiteNames {
            fields: of_site(&site.name, &site.category),
            keys: {
                let constants = site.constants.iter().map(|constant| &constant.key);
                let all = constants.chain(site.args.iter().map(|(key, _)| key));
                all.map(|key| (key.clone(), Texts::id(&mut keys, key)))
                    .collect()
            },
        });
        let sites = sites.collect();
        let (lost, arrow, unnamed) = (
            of_site("ringscope.lost", "ringscope"),
            of_site("ac2g", "ac2g"),
            of_site("", ""),
        );
        // Those that come late, and those that the decoder adds.
        let late = timeline.keys.iter().flat_map(|keys| keys.values());
        let mut late: Vec<&str> = late.map(String::as_str).chain(args::OWN_KEYS).collect();
        late.sort_unstable();
        for key in late {
            keys.id(key);
        }
        Names {
            sites,
            lost,
            arrow,
            unnamed,
            flow_category: categories.id("flow"),
            async_category: categories.id("async"),
            names,
            categories,
            keys,
        }
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        [&self.names, &self.categories, &self.keys]
            .map(|texts| texts.in_order.len())
            .iter()
            .sum()
    }

    /// Appends the tables as a field of a packet.
    pub(super) fn put_tables(&self, out: &mut Vec<u8>) {
        put_message(out, packet::INTERNED_DATA, |out| {
            self.categories.put(out, interned::CATEGORIES);
            self.names.put(out, interned::NAMES);
            self.keys.put(out, interned::KEYS);
        });
    }

    /// Appends name and category of an event.
    pub(super) fn put(&self, event: &Event, category: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(match event.kind {
            EventKind::Lost => &self.lost,
            EventKind::ArrowStart | EventKind::ArrowEnd => &self.arrow,
            _ => match self.sites.get(event.site as usize) {
                Some(site) => &site.fields,
                None => &self.unnamed,
            },
        });
        // Arrows and async spans are drawn only with a category.
        if !category.is_empty() {
            return;
        }
        match event.kind {
            EventKind::FlowOut | EventKind::FlowIn => {
                put_uint(out, event::CATEGORY_IIDS, self.flow_category)
            }
            EventKind::AsyncBegin | EventKind::AsyncEnd => {
                put_uint(out, event::CATEGORY_IIDS, self.async_category);
            }
            _ => {}
        }
    }

    /// Name and category of a site's events.
    pub(super) fn fields_of_site(&self, site: usize) -> Option<&[u8]> {
        Some(&self.sites.get(site)?.fields)
    }

    /// Number of one of a site's keys.
    pub(super) fn key_of_site(&self, site: usize, position: usize) -> Option<u64> {
        let (_, id) = self.sites.get(site)?.keys.get(position)?;
        Some(*id)
    }

    /// Number of the key of an event's argument at `position`; `None` for one that nobody registered.
    pub(super) fn key(&self, event: &Event, position: usize, key: &str) -> Option<u64> {
        let of_site = self
            .sites
            .get(event.site as usize)
            .and_then(|site| site.keys.get(position));
        match of_site {
            Some((expected, id)) if expected == key => Some(*id),
            _ => self.own_key(key),
        }
    }

    /// Number of a key that any event may have.
    pub(super) fn own_key(&self, key: &str) -> Option<u64> {
        self.keys.ids.get(key).copied()
    }
}

fn fields(names: &mut Texts, categories: &mut Texts, name: &str, category: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_uint(&mut out, event::NAME_IID, names.id(name));
    if !category.is_empty() {
        put_uint(&mut out, event::CATEGORY_IIDS, categories.id(category));
    }
    out
}
