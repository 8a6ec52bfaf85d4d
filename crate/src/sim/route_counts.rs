//! What has happened to the routes of simulated hosts.

/// How often what the scenarios are about has happened on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// Routes that were seen on their backups, not having been there before.
    pub moves_to_backup: u64,
    /// Routes that were seen on their primaries, having been on their backups before.
    pub moves_to_primary: u64,
    /// Routes that a process found on their backups when it began.
    pub adoptions_on_backup: u64,
    /// Routes that a process found on next-hop objects when it began.
    pub adoptions_on_object: u64,
    /// Next-hop objects that were deleted together with their routes.
    pub objects_dropped: u64,
    /// Next-hop objects that were made to lead elsewhere together with their routes.
    pub objects_moved: u64,
    /// Checks of all routes of a host.
    pub checks: u64,
}

impl RouteCounts {
    /// Adds those of another host.
    pub fn add(&mut self, other: &Self) {
        self.moves_to_backup += other.moves_to_backup;
        self.moves_to_primary += other.moves_to_primary;
        self.adoptions_on_backup += other.adoptions_on_backup;
        self.adoptions_on_object += other.adoptions_on_object;
        self.objects_dropped += other.objects_dropped;
        self.objects_moved += other.objects_moved;
        self.checks += other.checks;
    }
}
