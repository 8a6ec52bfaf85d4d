//! Commands on their way to the driver's thread: a queue and a wake-up.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::driver::snapshot::{SnapshotPage, SnapshotRequest, StatsReport};
use crate::engine::SessionId;
use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::timers::Timers;
use crate::routes::armed::ArmedRoute;
use crate::routes::outcome::RouteId;
use crate::system::sync::Mutex;

/// A session to add or to update, with its interface by name.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The number that the caller has picked.
    pub id: SessionId,
    /// Shared by all that are on it.
    pub interface: Arc<str>,
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub peer: IpAddr,
    /// The UDP port that packets are sent to.
    pub peer_port: u16,
    /// Intervals and detection multiplier.
    pub timers: Timers,
    /// Whether the peer is several hops away (RFC 5883); only of BFD.
    pub multihop: bool,
    /// The least TTL of a received packet; `None` takes the default.
    pub min_ttl: Option<u8>,
    /// What BFD takes beyond; of no meaning to the liveness protocol.
    pub bfd: BfdOptions,
}

impl SessionConfig {
    /// The least TTL, as the engine takes it: the packets of a multihop session may have crossed any number of routers unless
    /// the configuration says otherwise (RFC 5883 §5).
    pub(super) fn least_ttl(&self) -> Option<u8> {
        if self.multihop { Some(self.min_ttl.unwrap_or(0)) } else { self.min_ttl }
    }
}

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Starts sessions in Down.
    AddSessions(Vec<SessionConfig>),
    /// Gives sessions other timers and peer ports.
    UpdateSessions(Vec<SessionConfig>),
    /// Ends sessions without a further packet.
    RemoveSessions(Vec<SessionId>),
    /// Takes sessions out of service.
    AdminDown(Vec<SessionId>),
    /// Puts sessions back in service.
    AdminUp(Vec<SessionId>),
    /// Arms routes, or replaces what is known of them.
    Arm(Vec<ArmOrder>),
    /// Lets armed routes go.
    Disarm(Vec<Disarm>),
    /// Tries again what failed for these routes, if the generation is still the newest.
    Retry(Vec<(RouteId, u32)>),
    /// Begins or ends the maintenance of these sessions, or of all: no route of theirs is withdrawn meanwhile.
    SetMaintenance(Option<Vec<SessionId>>, bool),
    /// Asks for an answer, in the order of the commands.
    Ping(Sender<()>),
    /// Asks for sessions as they are.
    Snapshots(SnapshotRequest, Sender<SnapshotPage>),
    /// Opens the sockets of multihop sessions.
    OpenMultihop(Sender<Result<(), Errno>>),
    /// Asks which of these numbers no next-hop object of ours has, and keeps those from being given to one.
    ReserveObjects(Vec<u32>, Sender<Vec<u32>>),
    /// Gives numbers free that were reserved.
    UnreserveObjects(Vec<u32>),
    /// Asks for all counters.
    Stats(Sender<StatsReport>),
    /// Ends the thread.
    Close {
        /// Says AdminDown to all peers first.
        admin_down: bool,
        /// Leaves nothing in the state file; with `admin_down` nothing is left either.
        forget: bool,
    },
    /// Has the thread panic.
    #[cfg(test)]
    Panic,
}

/// A route to arm. The driver finds the interfaces of the route and of its backup.
#[derive(Clone, Debug)]
pub struct ArmOrder {
    /// The route, without its interface and without a backup.
    pub route: ArmedRoute,
    /// Its backup.
    pub backup: Option<BackupOrder>,
}

/// The backup of a route to arm.
#[derive(Clone, Debug)]
pub struct BackupOrder {
    /// The gateway.
    pub next_hop: IpAddr,
    /// The name of the output interface.
    pub interface: Arc<str>,
    /// The session that watches the backup.
    pub session: Option<SessionId>,
}

/// An armed route that is let go.
#[derive(Clone, Copy, Debug)]
pub struct Disarm {
    /// The route.
    pub id: RouteId,
    /// Newer than that of the last order for the route.
    pub generation: u32,
    /// Delete it first.
    pub remove: bool,
}

/// Commands on their way to the thread, in their order.
#[derive(Debug)]
pub struct CommandQueue {
    /// `None` once the thread has ended.
    commands: Mutex<Option<Vec<Command>>>,
    wake: EventFd,
}

impl CommandQueue {
    /// # Errors
    /// What the system says about an event descriptor.
    pub fn new() -> nix::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { commands: Mutex::new(Some(Vec::new())), wake })
    }

    /// Leaves a command for the thread. After `close` it is dropped, and a caller who waits for its answer gets `NoAnswer` at
    /// once.
    pub fn put(&self, command: Command) {
        let mut commands = self.commands.lock().expect("no holder of this lock panics");
        let Some(commands) = commands.as_mut() else { return };
        commands.push(command);
        // Written under the lock, so that it never wakes for a queue that was just emptied. It fails only where the
        // counter is full, and then the thread has long been woken.
        let _ = self.wake.write(1);
    }

    /// Takes all commands, in the order in which they were put in.
    pub fn take(&self) -> Vec<Command> {
        let mut commands = self.commands.lock().expect("no holder of this lock panics");
        // Fails only where nothing was written since.
        let _ = self.wake.read();
        commands.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Drops all commands that wait, and those to come: the thread has ended.
    pub fn close(&self) {
        *self.commands.lock().expect("no holder of this lock panics") = None;
    }
}

impl AsFd for CommandQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(all(test, loom))]
mod every_order {
    use loom::thread;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn is_readable(commands: &CommandQueue) -> bool {
        poll(&mut [PollFd::new(commands.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() > 0
    }

    #[test]
    fn the_descriptor_is_readable_where_commands_wait_and_only_there() {
        loom::model(|| {
            let commands = Arc::new(CommandQueue::new().unwrap());
            let writers = [1, 2].map(|id| {
                let commands = Arc::clone(&commands);
                thread::spawn(move || commands.put(Command::RemoveSessions(vec![SessionId(id)])))
            });
            let meanwhile = commands.take().len();
            for writer in writers {
                writer.join().unwrap();
            }
            assert_eq!(is_readable(&commands), meanwhile < 2);
            assert_eq!(meanwhile + commands.take().len(), 2);
            assert!(!is_readable(&commands));
        });
    }
}
