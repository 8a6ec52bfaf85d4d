//! Which routes a change of links or addresses concerns. Pure.

use std::net::IpAddr;

use crate::routes::kernel_route::KernelRoute;

/// What casts doubt on routes of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffectedRoutes {
    /// Routes over these interfaces: the kernel drops routes with a link and does not say which.
    pub interfaces: Vec<u32>,
    /// Routes with these source addresses: the kernel drops them with the address.
    pub sources: Vec<IpAddr>,
    /// All routes: notices were lost.
    pub all: bool,
}

impl AffectedRoutes {
    /// Whether no route is affected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && self.interfaces.is_empty() && self.sources.is_empty()
    }

    /// Adds what another change has affected.
    pub fn add(&mut self, other: AffectedRoutes) {
        let AffectedRoutes { interfaces, sources, all } = other;
        self.all |= all;
        self.interfaces
            .extend(interfaces.into_iter().filter(|index| !self.interfaces.contains(index)).collect::<Vec<_>>());
        self.sources.extend(sources.into_iter().filter(|address| !self.sources.contains(address)).collect::<Vec<_>>());
    }

    /// Whether a route is affected.
    #[must_use]
    pub fn includes(&self, route: &KernelRoute) -> bool {
        self.all || self.interfaces.contains(&route.interface) || self.sources.contains(&route.source)
    }
}
