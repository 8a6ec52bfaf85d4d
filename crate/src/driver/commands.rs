//! What the thread does when it is asked to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nix::errno::Errno;

use crate::driver::command_queue::{ArmOrder, BackupOrder, Command, SessionConfig};
use crate::driver::driven::Driven;
use crate::driver::snapshot::SnapshotPage;
use crate::driver::{Driver, Receiver};
use crate::engine::stats::{LinkId, LocalEndpoint};
use crate::engine::{AddError, Path, SessionId, SessionSpec};
use crate::net::outlet::Outlet as _;
use crate::net::socket;
use crate::net::socket_address::Family;
use crate::protocol::time::Time;
use crate::routes::armed::ArmedRoute;
use crate::routes::kernel_route::{RouteError, SystemError};
use crate::routes::legs::{Backup, Leg};
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::shared_planner::OutcomeSink;
use crate::routes::worker::RouteWorker;
use crate::system::clock;
use crate::system::problem::Problem;
use crate::system::realtime;

impl<P: Driven> Driver<P> {
    pub(super) fn run_commands(&mut self) {
        for command in self.commands.take() {
            let now = clock::now();
            match command {
                Command::AddSessions(configs) => {
                    configs.into_iter().for_each(|config| self.add_session(now, config));
                    self.fit_send_buffer();
                    if self.socket_filter.is_attached() {
                        self.attach_filter();
                    }
                }
                Command::UpdateSessions(configs) => {
                    configs.into_iter().for_each(|config| self.update_session(now, config));
                    if self.socket_filter.is_attached() {
                        self.attach_filter();
                    }
                }
                Command::RemoveSessions(ids) => {
                    ids.into_iter().for_each(|id| self.remove_session(id));
                }
                Command::AdminDown(ids) => ids.into_iter().for_each(|id| self.engine.admin_down(now, id)),
                Command::AdminUp(ids) => ids.into_iter().for_each(|id| self.engine.admin_up(now, id)),
                Command::Arm(routes) => self.arm(now, routes),
                Command::Disarm(routes) => {
                    for disarm in &routes {
                        let unused = self.backup_links.set(disarm.id, None);
                        unused.into_iter().for_each(|link| self.forget_unused(link));
                    }
                    if let Some(route_worker) = &self.route_worker {
                        route_worker.disarm(routes.iter().map(|disarm| (disarm.id, disarm.generation, disarm.remove)));
                    } else {
                        // Nothing is armed that would have to be deleted.
                        let gone = routes.iter().map(|disarm| unarmed(disarm.id, disarm.generation, now, Ok(()), true));
                        self.mailbox.put_outcomes(gone.collect());
                    }
                }
                Command::Retry(routes) => {
                    if let Some(route_worker) = &self.route_worker {
                        route_worker.retry(routes);
                    }
                }
                Command::SetMaintenance(sessions, active) => {
                    self.maintenance.set(sessions.as_deref(), active);
                    if let Some(route_worker) = &self.route_worker {
                        route_worker.set_maintenance(sessions.as_deref(), active);
                    }
                }
                Command::Ping(answer) => drop(answer.send(())),
                // Whoever asked may have given up waiting.
                Command::Snapshots(wanted, answer) => drop(answer.send(SnapshotPage::of(&mut self.engine, &wanted))),
                Command::OpenMultihop(answer) => drop(answer.send(self.open_multihop())),
                Command::ReserveObjects(ids, answer) => {
                    let worker = self.route_worker.as_ref();
                    drop(answer.send(worker.map_or(ids.clone(), |worker| worker.reserve_objects(&ids))));
                }
                Command::UnreserveObjects(ids) => {
                    self.route_worker.iter().for_each(|worker| worker.unreserve_objects(&ids));
                }
                Command::Stats(answer) => drop(answer.send(self.stats())),
                Command::Close { admin_down, forget } => self.start_closing(now, admin_down, forget),
                #[cfg(test)]
                Command::Panic => panic!("asked to"),
            }
        }
    }

    /// Learns which interfaces have come, gone or changed their index. Routes lead over the new one then.
    pub(super) fn refresh_links(&mut self) {
        let before = self.links.indices();
        self.links.refresh();
        let after = self.links.indices();
        if let Some(route_worker) = &self.route_worker
            && before != after
        {
            route_worker.links_changed(after.into_iter().filter(|link| !before.contains(link)));
        }
    }

    pub(super) fn add_session(&mut self, now: Time, config: SessionConfig) {
        let Some(config) = self.claim(now, config) else { return };
        let min_ttl = config.least_ttl();
        let SessionConfig { id, interface, local, peer, peer_port, timers, multihop, bfd, .. } = config;
        let family = Family::of(peer);
        let source_port = match self.claim_port(family) {
            Ok(port) => port,
            Err(errno) => return self.refuse_session(&interface, local, peer, errno.desc()),
        };
        // RFC 5883 §4: a multihop session has no interface.
        let link = self.links.intern(&interface);
        let path = Path { link: if multihop { LinkId::OTHER } else { link }, local, peer };
        let spec = SessionSpec { id, path, peer_port, timers, min_ttl };
        let result = loop {
            let discr = self.engine.draw_discriminator();
            match self.engine.add_session_with(now, spec, P::options(bfd.clone(), source_port), discr) {
                Err(AddError::DiscriminatorTaken) => {}
                result => break result,
            }
        };
        if let Err(error) = result {
            self.release_port(family, source_port);
            self.refuse_session(&interface, local, peer, &error.to_string());
        } else if multihop {
            self.multihop_links.insert(id, link);
        }
    }

    pub(super) fn update_session(&mut self, now: Time, config: SessionConfig) {
        let min_ttl = config.least_ttl();
        self.engine.update_session(now, config.id, config.timers, config.peer_port);
        self.engine.update_min_ttl(config.id, min_ttl);
        self.engine.update_options(now, config.id, P::options(config.bfd, 0));
    }

    pub(super) fn remove_session(&mut self, id: SessionId) {
        let source = self.engine.source(id);
        self.multihop_links.remove(&id);
        let unused = self.engine.remove_session(id);
        if let Some((address, port)) = source {
            self.release_port(Family::of(address), port);
        }
        if let Some(link) = unused {
            self.forget_unused(link);
        }
    }

    fn refuse_session(&self, interface: &str, local: IpAddr, peer: IpAddr, reason: &str) {
        let message = format!("the session {interface} {local} -> {peer} was not started: {reason}");
        self.mailbox.put_warning(Problem { code: "ERR_SESSION_REFUSED".into(), message });
    }

    pub(super) fn claim_port(&mut self, family: Family) -> nix::Result<u16> {
        let sender = self.senders.iter_mut().find(|sender| sender.outlet.serves(family));
        sender.ok_or(Errno::EAFNOSUPPORT)?.outlet.claim_port()
    }

    pub(super) fn release_port(&mut self, family: Family, port: u16) {
        if let Some(sender) = self.senders.iter_mut().find(|sender| sender.outlet.serves(family)) {
            sender.outlet.release_port(port);
        }
    }

    /// Opens the sockets of multihop sessions, all or none. Does nothing where they are open.
    pub(super) fn open_multihop(&mut self) -> nix::Result<()> {
        if self.receivers.iter().any(|receiver| receiver.is_multihop) {
            return Ok(());
        }
        let addresses = self.addresses.iter().map(|address| SocketAddr::new(*address, self.multihop_port));
        let sockets = addresses.map(|address| {
            let socket = socket::bind_receiver::<P>(address, self.engine.most_sessions())?;
            socket.tell_ttl()?;
            Ok(socket)
        });
        let sockets = sockets.collect::<nix::Result<Vec<_>>>()?;
        for socket in sockets {
            self.waiter.add_socket(&socket)?;
            self.receivers.push(Receiver::new(socket, true));
        }
        self.filter_as_usual();
        if self.socket_filter.is_attached() {
            self.attach_filter();
        }
        Ok(())
    }

    fn arm(&mut self, now: Time, orders: Vec<ArmOrder>) {
        if self.route_worker.is_none() {
            // Threads that are started from here run where the process may, not where this one is pinned to.
            match realtime::unpinned(|| {
                RouteWorker::start(
                    self.arming_policy,
                    self.maintenance.clone(),
                    Arc::clone(&self.mailbox) as Arc<dyn OutcomeSink>,
                )
            }) {
                Ok(route_worker) => self.route_worker = Some(route_worker),
                Err(error) => {
                    let cannot_start =
                        RouteError::CannotStart(SystemError(error.raw_os_error().unwrap_or(Errno::EAGAIN as i32)));
                    let failed =
                        |ArmOrder { route, .. }| unarmed(route.id, route.generation, now, Err(cannot_start), false);
                    self.mailbox.put_outcomes(orders.into_iter().map(failed).collect());
                    return;
                }
            }
        }
        let armed: Vec<ArmedRoute> = orders.into_iter().map(|order| self.with_backup(order)).collect();
        if let Some(route_worker) = &self.route_worker {
            route_worker.arm(armed.into_iter().map(|mut route| {
                let mut endpoint = self.engine.endpoint(route.session).unwrap_or(LocalEndpoint::OTHER);
                endpoint.link = self.multihop_links.get(&route.session).copied().unwrap_or(endpoint.link);
                route.route.interface = self.links.index(endpoint.link).unwrap_or(0);
                route.adopted |= self.resumption.as_ref().is_some_and(|resumption| resumption.adopts(&route));
                // A session that is Up already converged for the routes that it had then.
                (route, endpoint, self.view(route.session, None))
            }));
        }
    }

    /// The route with its backup, whose interface is known by its number from now on.
    fn with_backup(&mut self, order: ArmOrder) -> ArmedRoute {
        let ArmOrder { route, backup } = order;
        let link = backup.as_ref().map(|backup| self.links.intern(&backup.interface));
        let unused = self.backup_links.set(route.id, link);
        let backup = backup.zip(link).map(|(BackupOrder { next_hop, session, .. }, link)| {
            let interface = self.links.index(link).unwrap_or(0);
            let is_up = session.is_some_and(|session| self.view(session, None).up);
            Backup { next_hop, interface, link, session, is_up }
        });
        unused.into_iter().for_each(|link| self.forget_unused(link));
        ArmedRoute { backup, ..route }
    }

    /// Forgets the name of an interface that no session and no backup uses.
    fn forget_unused(&mut self, link: LinkId) {
        let is_used = self.backup_links.uses(link)
            || self.engine.stats().iter().any(|(endpoint, _)| endpoint.link == link)
            || self.multihop_links.values().any(|used| *used == link);
        if !is_used {
            self.links.forget(link);
        }
    }
}

/// The outcome for a route where no thread runs that could change it.
fn unarmed(id: RouteId, generation: u32, at: Time, result: Result<(), RouteError>, gone: bool) -> RouteOutcome {
    let op = if gone { RouteOp::None } else { RouteOp::Add };
    RouteOutcome {
        id,
        generation,
        op,
        result,
        at,
        duration_us: 0,
        gone,
        installed: false,
        restore_at: None,
        suppressed_until: None,
        leg: Leg::Primary,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket as StdSocket};
    use std::time::Duration;

    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;
    use crate::driver::DriverOptions;
    use crate::driver::command_queue::CommandQueue;
    use crate::driver::tests::{config, mailbox, options, peer};
    use crate::protocol::bfd::Bfd;
    use crate::protocol::bfd::packet::BfdPacket;
    use crate::protocol::bfd::rules::RFC5880;
    use crate::protocol::policy::Policy;
    use crate::protocol::state::State;
    use crate::protocol::{Header, Protocol as _};
    use crate::system::realtime::Realtime;

    const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn bfd_driver(addresses: Vec<IpAddr>) -> Driver<Bfd> {
        let Policy { min_tx_floor_us, max_tx_ceil_us, backoff_max_us, .. } = options().policy;
        let options = DriverOptions {
            addresses,
            port: 0,
            multihop_port: 0,
            policy: Policy {
                rules: &RFC5880,
                min_tx_floor_us,
                max_tx_ceil_us,
                backoff_max_us,
                require_discriminator: false,
                min_ttl: Bfd::MIN_TTL,
                identity: None,
            },
            max_sessions: 100,
            arming_policy: options().arming_policy,
            realtime: Realtime::default(),
            withdraw_on_fatal: false,
            filter_repeats: false,
            resume: None,
        };
        Driver::new(options, Arc::new(CommandQueue::new().unwrap()), mailbox()).unwrap()
    }

    /// What a peer that has received `heard` says next.
    fn reply(heard: &BfdPacket, state: State, poll: bool) -> BfdPacket {
        let header = Header { state, local_discr: 77, peer_discr: heard.header.local_discr, ..heard.header };
        BfdPacket { header, poll, is_final: false, ..*heard }
    }

    #[test]
    fn over_either_family_a_poll_is_answered_in_the_turn_that_reads_it_from_the_port_of_the_session() {
        let locals: [IpAddr; 2] = [LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let mut driver = bfd_driver(locals.to_vec());
        for (local, id) in locals.into_iter().zip(1..) {
            let socket =
                driver.receivers.iter().find(|receiver| receiver.socket.family() == Family::of(local)).unwrap();
            let to = socket.socket.local_addr().unwrap();
            let peer = StdSocket::bind((local, 0)).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            match local {
                IpAddr::V4(_) => peer.set_ttl(255).unwrap(),
                IpAddr::V6(_) => setsockopt(&peer, sockopt::Ipv6Ttl, &255).unwrap(),
            }
            let peer_port = peer.local_addr().unwrap().port();
            driver.add_session(
                clock::now(),
                SessionConfig { id: SessionId(id), local, peer: local, ..config(peer_port, "lo") },
            );
            let mut bytes = [0; 64];
            let mut hear = |driver: &mut Driver<Bfd>| {
                driver.turn().unwrap();
                let (length, from) = peer.recv_from(&mut bytes).unwrap();
                (BfdPacket::unmarshal(&bytes[..length]).unwrap(), from.port())
            };
            let (first, source_port) = hear(&mut driver);
            assert_eq!((first.header.state, source_port >= 49_152), (State::Down, true));
            peer.send_to(&reply(&first, State::Init, true).marshal(), to).unwrap();
            let (answer, port) = hear(&mut driver);
            assert!(answer.is_final && !answer.poll, "{answer:?}");
            assert_eq!((answer.header.state, port), (State::Up, source_port));
        }
    }

    #[test]
    fn a_multihop_session_hears_packets_with_any_ttl_on_a_port_of_its_own_and_one_without_registration_is_an_unknown_peer()
     {
        let mut driver = bfd_driver(vec![LOCALHOST.into()]);
        driver.open_multihop().unwrap();
        driver.open_multihop().unwrap();
        assert_eq!(driver.receivers.len(), 2, "it is opened once");
        let to = driver.receivers[1].socket.local_addr().unwrap();
        let peer = peer();
        let peer_port = peer.local_addr().unwrap().port();
        let unknown =
            BfdPacket::unmarshal(&[0x20, 0x40, 3, 24, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 0])
                .unwrap();
        peer.send_to(&unknown.marshal(), to).unwrap();
        driver.turn().unwrap();
        driver.add_session(clock::now(), SessionConfig { multihop: true, ..config(peer_port, "nosuch0") });
        driver.turn().unwrap();
        let mut bytes = [0; 64];
        let length = peer.recv(&mut bytes).unwrap();
        let first = BfdPacket::unmarshal(&bytes[..length]).unwrap();
        peer.send_to(&reply(&first, State::Down, false).marshal(), to).unwrap();
        driver.turn().unwrap();
        assert_eq!(driver.engine.session(SessionId(1)).unwrap().0.state(), State::Init);
        assert_eq!(driver.engine.stats().iter().map(|(_, counters)| counters.unknown_peer).sum::<u64>(), 1);
    }

    #[test]
    fn another_least_ttl_of_a_multihop_session_counts_from_its_next_packet() {
        let mut driver = bfd_driver(vec![LOCALHOST.into()]);
        driver.open_multihop().unwrap();
        let to = driver.receivers[1].socket.local_addr().unwrap();
        let peer = peer();
        let multihop = SessionConfig { multihop: true, ..config(peer.local_addr().unwrap().port(), "lo") };
        driver.add_session(clock::now(), multihop.clone());
        driver.turn().unwrap();
        let mut bytes = [0; 64];
        let length = peer.recv(&mut bytes).unwrap();
        let answer = reply(&BfdPacket::unmarshal(&bytes[..length]).unwrap(), State::Down, false).marshal();
        for (min_ttl, state) in [(Some(200), State::Down), (Some(100), State::Init)] {
            driver.commands.put(Command::UpdateSessions(vec![SessionConfig { min_ttl, ..multihop.clone() }]));
            driver.run_commands();
            peer.set_ttl(150).unwrap();
            peer.send_to(&answer, to).unwrap();
            driver.turn().unwrap();
            assert_eq!(driver.engine.session(SessionId(1)).unwrap().0.state(), state, "{min_ttl:?}");
        }
    }

    #[test]
    fn the_port_of_a_session_is_given_back_with_it() {
        let mut driver = bfd_driver(vec![LOCALHOST.into()]);
        driver.add_session(clock::now(), config(9, "lo"));
        assert_eq!(driver.senders[0].outlet.open(), 1);
        driver.commands.put(Command::RemoveSessions(vec![SessionId(1)]));
        driver.run_commands();
        assert_eq!(driver.senders[0].outlet.open(), 0);
    }

    #[test]
    fn a_driver_of_both_families_has_one_port() {
        let driver = bfd_driver(vec![LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        let ports = driver.receivers.iter().map(|receiver| receiver.socket.local_addr().unwrap().port());
        let ports: Vec<u16> = ports.collect();
        assert_eq!((ports.len(), ports[0]), (2, ports[1]));
    }
}
