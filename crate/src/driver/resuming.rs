//! How the thread goes on with the sessions of a predecessor, and what it leaves for a successor.
//!
//! The state file is written where something has changed that a successor needs, and before the packets that tell the peers.
//! Once in each turn the time is stored at which this process was alive: by it a successor knows whether the peers still wait.

use rustc_hash::FxHashSet;

use crate::driver::Driver;
use crate::driver::command_queue::SessionConfig;
use crate::driver::driven::Driven;
use crate::driver::resumption::{Predecessor, Resumption, start_error, write_place};
use crate::engine::state_header::{HEADER_LEN, StateHeader};
use crate::engine::state_record::StateRecord;
use crate::engine::state_slot::{self, SLOT_LEN, SlotContents};
use crate::engine::stats::LinkId;
use crate::engine::{AddError, Path, ResumeError, SessionId, SessionSpec};
use crate::net::outlet::Outlet as _;
use crate::net::socket_address::Family;
use crate::net::start_error::StartError;
use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::system::clock;
use crate::system::problem::Problem;
use crate::system::state_file::user;

/// What nobody has registered by then ends.
const CLAIM_WITHIN_US: u64 = 10_000_000;

/// Callers number their sessions from 1 up; those that nobody has registered yet are numbered from here down.
const LAST_ID: u32 = u32::MAX;

/// What became of the records of a predecessor.
#[derive(Default)]
struct Tally {
    resumed: usize,
    too_old: usize,
    damaged: usize,
    refused: usize,
}

impl Tally {
    /// What the log is to say; `None` where all went on.
    fn report(&self) -> Option<String> {
        let parts = [
            (self.too_old, "their peers do not wait for them any more"),
            (self.damaged, "their records are damaged"),
            (self.refused, "this configuration has no place for them"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{count} since {why}"))
            .collect();
        let all = self.resumed + self.too_old + self.damaged + self.refused;
        (!parts.is_empty())
            .then(|| format!("{} of {all} sessions go on, the others start cold: {}", self.resumed, parts.join(", ")))
    }
}

impl<P: Driven> Driver<P> {
    /// Goes on with the sessions of a predecessor, and puts a file of its own in the place of the predecessor's.
    pub(super) fn resume(&mut self, predecessor: Predecessor) -> Result<(), StartError> {
        let now = clock::now();
        let slots = u32::try_from(self.engine.most_sessions()).unwrap_or(u32::MAX);
        let header = StateHeader {
            boot_id: predecessor.boot_id,
            uid: user(),
            protocol: P::PORT,
            port: self.local_addr()?.port(),
            slots,
        };
        // A port that was free a moment ago is no choice of the configuration.
        let wanted = StateHeader { port: if self.takes_any_port { 0 } else { header.port }, ..header };
        self.resumption = Some(Resumption {
            file: None,
            resumed: 0,
            unclaimed: FxHashSet::default(),
            claimed: FxHashSet::default(),
            claim_until: None,
        });
        let path = predecessor.file.path().to_owned();
        let report = match predecessor.state(&wanted, now) {
            Ok((alive, places)) => self.resume_all(now, now.since(alive), places),
            Err(why) => why.reason().map(|reason| format!("{reason}: all sessions start cold")),
        };
        if let Some(report) = report {
            let message = format!("the state file {}: {report}", path.display());
            self.mailbox.put_warning(Problem { code: "ERR_RESUME_COLD".into(), message });
        }
        self.fit_send_buffer();
        let length = HEADER_LEN + slots as usize * SLOT_LEN;
        let prepared = predecessor.file.prepare(length);
        let mut prepared = prepared.map_err(|error| start_error(&path, error))?;
        prepared.bytes()[..HEADER_LEN].copy_from_slice(&header.encode(now));
        while let Some(slot) = self.engine.poll_changed() {
            write_place(prepared.bytes(), slot, self.record(slot).as_ref());
        }
        let file = prepared.put_in_place().map_err(|error| start_error(&path, error))?;
        if let Some(resumption) = &mut self.resumption {
            resumption.file = Some(file);
        }
        Ok(())
    }

    /// Goes on with all sessions of the places. Gives what the log is to say.
    fn resume_all(&mut self, now: Time, age_us: u64, places: &[u8]) -> Option<String> {
        let mut tally = Tally::default();
        for (place, number) in places.chunks_exact(SLOT_LEN).zip(0u32..) {
            match state_slot::read(place) {
                SlotContents::Vacant => {}
                SlotContents::Damaged => tally.damaged += 1,
                SlotContents::Occupied(record) => {
                    match self.resume_session(now, age_us, SessionId(LAST_ID - number), &record) {
                        Ok(()) => tally.resumed += 1,
                        // What was not Up loses nothing by a start anew.
                        Err(ResumeError::TooOld) => tally.too_old += usize::from(record.saved.state == State::Up),
                        Err(ResumeError::Add(_)) => tally.refused += 1,
                    }
                }
            }
        }
        let resumption = self.resumption.as_mut()?;
        resumption.resumed = tally.resumed;
        resumption.claim_until = (tally.resumed > 0).then(|| now.plus(CLAIM_WITHIN_US));
        tally.report()
    }

    fn resume_session(
        &mut self,
        now: Time,
        age_us: u64,
        id: SessionId,
        record: &StateRecord,
    ) -> Result<(), ResumeError> {
        let StateRecord { local, peer, peer_port, multihop, min_ttl, saved, .. } = record;
        let refused = ResumeError::Add(AddError::Exists);
        let family = Family::of(*peer);
        let is_bound = self.addresses.iter().any(|address| *address == *local || address.is_unspecified());
        if !is_bound || *multihop && self.open_multihop().is_err() {
            return Err(refused);
        }
        let sender = self.senders.iter_mut().find(|sender| sender.outlet.serves(family)).ok_or(refused)?;
        let source_port = sender.outlet.claim_port_again(record.source_port).map_err(|_| refused)?;
        let link = self.links.intern(&record.interface);
        let path = Path { link: if *multihop { LinkId::OTHER } else { link }, local: *local, peer: *peer };
        let spec = SessionSpec { id, path, peer_port: *peer_port, timers: saved.timers, min_ttl: Some(*min_ttl) };
        let options = P::options(BfdOptions::default(), source_port);
        let resumed = self.engine.resume_session(now, age_us, spec, options, saved);
        if resumed.is_err() {
            self.release_port(family, source_port);
            return resumed;
        }
        if *multihop {
            self.multihop_links.insert(id, link);
        }
        if let Some(resumption) = &mut self.resumption {
            resumption.unclaimed.insert(id);
        }
        Ok(())
    }

    /// Gives a registration the session of a predecessor with the same path. Gives the configuration back where there is none.
    pub(super) fn claim(&mut self, now: Time, config: SessionConfig) -> Option<SessionConfig> {
        let Some(resumption) = self.resumption.as_mut().filter(|resumption| !resumption.unclaimed.is_empty()) else {
            return Some(config);
        };
        let link = self.links.intern(&config.interface);
        let path =
            Path { link: if config.multihop { LinkId::OTHER } else { link }, local: config.local, peer: config.peer };
        let unclaimed = &resumption.unclaimed;
        let Some(previous) = self.engine.claim_session(now, path, config.id, |id| unclaimed.contains(&id)) else {
            self.make_room();
            return Some(config);
        };
        resumption.unclaimed.remove(&previous);
        resumption.claimed.insert(config.id);
        if config.multihop {
            self.multihop_links.remove(&previous);
            self.multihop_links.insert(config.id, link);
        }
        self.update_session(now, config);
        None
    }

    /// What is registered goes before what nobody has registered.
    fn make_room(&mut self) {
        if self.engine.session_count() < self.engine.most_sessions() {
            return;
        }
        let unclaimed = self.resumption.as_mut().and_then(|resumption| {
            let id = resumption.unclaimed.iter().next().copied()?;
            resumption.unclaimed.remove(&id);
            Some(id)
        });
        if let Some(id) = unclaimed {
            self.remove_session(id);
        }
    }

    /// Ends the sessions that nobody has registered in time, as those that are withdrawn.
    pub(super) fn end_unclaimed(&mut self, now: Time) {
        let Some(resumption) = self.resumption.as_mut() else { return };
        if resumption.claim_until.is_none_or(|until| until > now) {
            return;
        }
        resumption.claim_until = None;
        resumption.claimed = FxHashSet::default();
        let unclaimed = std::mem::take(&mut resumption.unclaimed);
        if unclaimed.is_empty() {
            return;
        }
        let (count, resumed) = (unclaimed.len(), resumption.resumed);
        unclaimed.into_iter().for_each(|id| self.remove_session(id));
        let message = format!(
            "{count} of {resumed} sessions of the predecessor have ended: nobody registered them within {} s",
            CLAIM_WITHIN_US / 1_000_000
        );
        self.mailbox.put_warning(Problem { code: "ERR_RESUME_UNCLAIMED".into(), message });
    }

    /// Writes down what has changed, and that this process is alive.
    pub(super) fn write_state(&mut self, now: Time) {
        let Some(mut resumption) = self.resumption.take() else { return };
        while let Some(slot) = self.engine.poll_changed() {
            resumption.write(slot, self.record(slot).as_ref());
        }
        resumption.write_alive(now);
        self.resumption = Some(resumption);
    }

    /// Leaves nothing for a successor.
    pub(super) fn forget_state(&mut self) {
        let Some(file) = self.resumption.as_mut().and_then(|resumption| resumption.file.take()) else { return };
        let path = file.path().display().to_string();
        if let Err(error) = file.empty() {
            let message = format!("the state file {path} cannot be emptied: {error}");
            self.mailbox.put_warning(Problem { code: "ERR_RESUME_COLD".into(), message });
        }
    }

    fn record(&self, slot: u32) -> Option<StateRecord> {
        let continued = self.engine.continued(slot)?;
        let multihop_link = self.multihop_links.get(&continued.id).copied();
        let interface = self.links.name(multihop_link.unwrap_or(continued.path.link)).to_owned();
        Some(StateRecord::new(continued, interface, multihop_link.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{Ipv4Addr, UdpSocket as StdSocket};
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::driver::DriverOptions;
    use crate::driver::command_queue::CommandQueue;
    use crate::driver::tests::{config, mailbox, options, peer};
    use crate::engine::state_header::ALIVE_AT;
    use crate::protocol::liveness::Liveness;
    use crate::protocol::liveness::packet::ControlPacket;
    use crate::protocol::timers::Timers;

    /// A folder for the state file of a test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("route-liveness-resume-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn path(&self) -> PathBuf {
            self.0.join("state")
        }

        fn start(&self, port: u16) -> Result<Driver<Liveness>, StartError> {
            let options = DriverOptions { resume: Some(self.path()), port, max_sessions: 8, ..options() };
            Driver::new(options, Arc::new(CommandQueue::new().unwrap()), mailbox())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// The peer of a session on loopback.
    struct Peer(StdSocket);

    impl Peer {
        fn port(&self) -> u16 {
            self.0.local_addr().unwrap().port()
        }

        fn hear(&self) -> ControlPacket {
            let mut bytes = [0; 64];
            let length = self.0.recv(&mut bytes).unwrap();
            ControlPacket::unmarshal(&bytes[..length]).unwrap()
        }

        fn say(&self, state: State, heard: &ControlPacket, to: std::net::SocketAddr) {
            let said = ControlPacket { state, local_discr: 77, peer_discr: heard.local_discr, ..*heard };
            self.0.send_to(&said.marshal(), to).unwrap();
        }
    }

    /// A driver with a session that is Up, its peer, and what the session said last.
    fn up(folder: &Folder) -> (Driver<Liveness>, Peer, ControlPacket) {
        let (mut driver, peer) = (folder.start(0).unwrap(), Peer(peer()));
        // Half a minute of detection time: no test takes that long.
        let timers = Timers { tx_min_us: 150_000, rx_min_us: 150_000, detect_mult: 200 };
        driver.add_session(clock::now(), SessionConfig { timers, ..config(peer.port(), "lo") });
        driver.turn().unwrap();
        let heard = peer.hear();
        peer.say(State::Init, &heard, driver.local_addr().unwrap());
        while driver.engine.session(SessionId(1)).unwrap().0.state() != State::Up {
            driver.turn().unwrap();
        }
        (driver, peer, heard)
    }

    fn told(driver: &Driver<Liveness>) -> Vec<String> {
        driver.mailbox.drain().warnings.into_iter().map(|problem| problem.message).collect()
    }

    fn hear_up(peer: &Peer) -> ControlPacket {
        loop {
            let heard = peer.hear();
            if heard.state == State::Up {
                return heard;
            }
        }
    }

    #[test]
    fn a_successor_says_up_with_the_same_discriminators_before_anybody_registers() {
        let folder = Folder::new("up");
        let (driver, peer, before) = up(&folder);
        let port = driver.local_addr().unwrap().port();
        drop(driver);
        peer.0.set_nonblocking(true).unwrap();
        while peer.0.recv(&mut [0; 64]).is_ok() {}
        peer.0.set_nonblocking(false).unwrap();
        let mut next = folder.start(port).unwrap();
        assert_eq!(next.resumed(), 1);
        assert_eq!(told(&next), [""; 0]);
        next.turn().unwrap();
        let after = peer.hear();
        assert_eq!((after.state, after.local_discr, after.peer_discr), (State::Up, before.local_discr, 77));
        next.add_session(clock::now(), config(peer.port(), "lo"));
        assert_eq!(next.engine.session(SessionId(1)).unwrap().0.state(), State::Up);
        assert_eq!(next.engine.session_count(), 1);
    }

    #[test]
    fn a_file_whose_process_lives_is_busy_and_its_process_goes_on() {
        let folder = Folder::new("busy");
        let (mut driver, peer, _) = up(&folder);
        assert!(matches!(folder.start(0), Err(StartError::ResumeBusy(_))));
        driver.write_state(clock::now());
        drop(driver);
        let mut next = folder.start(0).unwrap();
        assert_eq!(next.resumed(), 1);
        next.turn().unwrap();
        hear_up(&peer);
    }

    #[test]
    fn a_start_that_must_fail_leaves_a_predecessor_that_lives_alone() {
        let folder = Folder::new("must-fail");
        let (driver, ..) = up(&folder);
        let addresses = vec![Ipv4Addr::new(192, 0, 2, 77).into()];
        let options = DriverOptions { resume: Some(folder.path()), addresses, ..options() };
        let started = Driver::<Liveness>::new(options, Arc::new(CommandQueue::new().unwrap()), mailbox());
        assert!(
            matches!(started.map(drop), Err(StartError::Bind(_))),
            "not Busy, upon which it would ask for the sessions"
        );
        drop(driver);
    }

    #[test]
    fn a_session_that_was_never_up_begins_anew_and_is_nothing_to_tell() {
        let folder = Folder::new("never-up");
        let mut driver = folder.start(0).unwrap();
        driver.add_session(clock::now(), config(9, "lo"));
        driver.turn().unwrap();
        drop(driver);
        let next = folder.start(0).unwrap();
        assert_eq!((next.resumed(), told(&next).len()), (0, 0));
    }

    #[test]
    fn what_nobody_registers_within_ten_seconds_ends_and_is_told_once() {
        let folder = Folder::new("unclaimed");
        drop(up(&folder));
        let mut next = folder.start(0).unwrap();
        let until = next.resumption.as_ref().unwrap().claim_until.unwrap();
        next.end_unclaimed(until.minus(1));
        assert_eq!(next.engine.session_count(), 1);
        next.end_unclaimed(until);
        next.end_unclaimed(until.plus(1));
        assert_eq!(next.engine.session_count(), 0);
        let told = told(&next);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("1 of 1 sessions of the predecessor have ended"), "{told:?}");
        next.write_state(until);
        drop(next);
        assert_eq!(folder.start(0).unwrap().resumed(), 0);
    }

    #[test]
    fn a_session_that_was_removed_or_an_engine_that_said_admin_down_leaves_nothing() {
        let folder = Folder::new("nothing");
        let (mut driver, ..) = up(&folder);
        driver.remove_session(SessionId(1));
        driver.write_state(clock::now());
        drop(driver);
        assert_eq!(folder.start(0).unwrap().resumed(), 0);
        let (mut driver, ..) = up(&folder);
        driver.start_closing(clock::now(), true, false);
        drop(driver);
        assert!(fs::read(folder.path()).unwrap().is_empty());
        let next = folder.start(0).unwrap();
        assert_eq!((next.resumed(), told(&next).len()), (0, 0), "an empty file is nothing to tell");
    }

    #[test]
    fn a_damaged_file_a_damaged_record_and_one_that_others_may_read_are_a_cold_start_that_is_told_once() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("damaged");
        let cold = |change: &dyn Fn(&mut Vec<u8>), mode: u32| {
            drop(up(&folder));
            let mut bytes = fs::read(folder.path()).unwrap();
            change(&mut bytes);
            fs::write(folder.path(), bytes).unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let next = folder.start(0).unwrap();
            assert_eq!(next.resumed(), 0);
            let told = told(&next);
            assert_eq!(told.len(), 1, "{told:?}");
            told[0].clone()
        };
        assert!(cold(&|bytes| bytes[20] ^= 1, 0o600).contains("it is damaged"));
        assert!(cold(&|bytes| bytes.truncate(50), 0o600).contains("it is damaged"));
        assert!(cold(&|bytes| bytes[HEADER_LEN..].fill(9), 0o600).contains("their records are damaged"));
        assert!(cold(&|_| {}, 0o644).contains("it is of another user"));
        assert!(
            cold(&|bytes| bytes[ALIVE_AT..HEADER_LEN].copy_from_slice(&1u64.to_le_bytes()), 0o600)
                .contains("their peers do not wait for them any more")
        );
    }

    #[test]
    fn a_registration_of_another_session_finds_room_where_sessions_of_the_predecessor_take_all() {
        let folder = Folder::new("room");
        drop(up(&folder));
        let options = DriverOptions { resume: Some(folder.path()), max_sessions: 1, ..options() };
        let mut next = Driver::new(options, Arc::new(CommandQueue::new().unwrap()), mailbox()).unwrap();
        assert_eq!(next.resumed(), 1);
        let other = SessionConfig { peer: Ipv4Addr::new(127, 0, 0, 9).into(), ..config(9, "lo") };
        next.add_session(clock::now(), other);
        assert!(next.engine.session(SessionId(1)).is_some());
        assert_eq!(next.engine.session_count(), 1);
    }
}
