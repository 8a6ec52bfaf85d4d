//! The interfaces that backups of routes lead over.

use rustc_hash::FxHashMap;

use crate::engine::stats::LinkId;
use crate::routes::outcome::RouteId;

/// By route, and how many routes have each.
#[derive(Debug, Default)]
pub(super) struct BackupLinks {
    by_route: FxHashMap<RouteId, LinkId>,
    uses: FxHashMap<LinkId, usize>,
}

impl BackupLinks {
    /// Notes the interface of a route's backup. Gives the one of before where nothing here uses it any more.
    pub(super) fn set(&mut self, id: RouteId, link: Option<LinkId>) -> Option<LinkId> {
        if let Some(link) = link {
            *self.uses.entry(link).or_default() += 1;
        }
        let previous = match link {
            Some(link) => self.by_route.insert(id, link),
            None => self.by_route.remove(&id),
        }?;
        let uses = self.uses.get_mut(&previous)?;
        *uses -= 1;
        if *uses > 0 {
            return None;
        }
        self.uses.remove(&previous);
        Some(previous)
    }

    pub(super) fn uses(&self, link: LinkId) -> bool {
        self.uses.contains_key(&link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_unused_when_the_last_route_with_it_has_another_or_is_gone() {
        let mut links = BackupLinks::default();
        assert_eq!(links.set(RouteId(1), Some(LinkId(7))), None);
        assert_eq!(links.set(RouteId(1), Some(LinkId(7))), None, "the same again");
        assert_eq!(links.set(RouteId(2), Some(LinkId(7))), None);
        assert_eq!(links.set(RouteId(1), None), None);
        assert!(links.uses(LinkId(7)));
        assert_eq!(links.set(RouteId(2), Some(LinkId(8))), Some(LinkId(7)));
        assert!(!links.uses(LinkId(7)) && links.uses(LinkId(8)));
    }
}
