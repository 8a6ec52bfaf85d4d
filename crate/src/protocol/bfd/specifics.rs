//! What a BFD session keeps beyond what the sessions of all protocols keep: diagnostics, Poll, role, what stops its packets,
//! authentication.

use crate::protocol::bfd::authentication::Authentication;
use crate::protocol::bfd::options::{BfdOptions, Role};
use crate::protocol::bfd::packet::{BfdBytes, BfdPacket};
use crate::protocol::bfd::poll::Poll;
use crate::protocol::diagnostic::{Diagnostic, Diagnostics};
use crate::protocol::drop_reason::DropReason;
use crate::protocol::specifics::{SPECIFICS_LEN, Sending, Specifics};
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;

/// The flags of a session that is saved.
const PASSIVE: u8 = 1;
const REMOTE_DEMAND: u8 = 2;
const REMOTE_RECEIVES_NOTHING: u8 = 4;
const POLLING: u8 = 8;

/// What is specific to a BFD session.
#[derive(Debug)]
pub struct BfdSpecifics {
    role: Role,
    local_diag: Diagnostic,
    remote_diag: Diagnostic,
    remote_state: State,
    /// The peer wants no periodic packets while both sides are Up.
    remote_demand: bool,
    /// The peer's Required Min RX Interval is 0.
    remote_receives_nothing: bool,
    poll: Poll,
    owes_final: bool,
    authentication: Option<Box<Authentication>>,
    local_discr: u32,
    source_port: u16,
}

impl BfdSpecifics {
    /// Why our session last changed its state (bfd.LocalDiag).
    #[must_use]
    pub fn local_diag(&self) -> Diagnostic {
        self.local_diag
    }

    /// Why the peer's session last changed its state, as the peer says.
    #[must_use]
    pub fn remote_diag(&self) -> Diagnostic {
        self.remote_diag
    }

    /// The state that the peer last said (bfd.RemoteSessionState).
    #[must_use]
    pub fn remote_state(&self) -> State {
        self.remote_state
    }

    /// How far our Poll is.
    #[must_use]
    pub fn poll(&self) -> Poll {
        self.poll
    }

    /// Who speaks first.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The id of the key that signs, where there is one.
    #[must_use]
    pub fn key_id(&self) -> Option<u8> {
        self.authentication.as_ref().map(|authentication| authentication.key_id())
    }

    /// Writes a packet that is sent at `now`, with its authentication section.
    pub(super) fn write(&mut self, packet: &BfdPacket, now: Time) -> BfdBytes {
        if packet.poll {
            self.poll.sent();
        }
        match &mut self.authentication {
            Some(authentication) => authentication.sign(packet.marshal(), now),
            None => BfdBytes::from(packet.marshal()),
        }
    }
}

impl Specifics<BfdPacket, BfdOptions> for BfdSpecifics {
    fn new(options: BfdOptions, local_discr: u32) -> Self {
        Self {
            role: options.role,
            local_diag: Diagnostic::None,
            remote_diag: Diagnostic::None,
            remote_state: State::Down,
            remote_demand: false,
            remote_receives_nothing: false,
            poll: Poll::Idle,
            owes_final: false,
            authentication: Authentication::new(options.keys, local_discr).map(Box::new),
            local_discr,
            source_port: options.source_port,
        }
    }

    fn set_options(&mut self, options: BfdOptions) {
        self.role = options.role;
        match &mut self.authentication {
            Some(authentication) if !options.keys.is_empty() => authentication.set_keys(options.keys),
            _ => self.authentication = Authentication::new(options.keys, self.local_discr).map(Box::new),
        }
    }

    fn authenticate(&mut self, packet: &BfdPacket, arrival: Time, detect_time_us: u64) -> Result<(), DropReason> {
        match (&mut self.authentication, &packet.authenticated) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(DropReason::UnexpectedAuthentication),
            (Some(_), None) => Err(DropReason::MissingAuthentication),
            (Some(authentication), Some(bytes)) => {
                if authentication.verify(bytes, packet.header.detect_mult, arrival, detect_time_us) {
                    Ok(())
                } else {
                    Err(DropReason::Authentication)
                }
            }
        }
    }

    fn apply(&mut self, packet: &BfdPacket) -> bool {
        self.remote_diag = packet.diagnostic;
        self.remote_state = packet.header.state;
        self.remote_demand = packet.demand;
        self.remote_receives_nothing = packet.header.required_min_rx_us == 0;
        self.owes_final = packet.poll;
        packet.is_final && self.poll.answered()
    }

    /// A Poll is answered each time, and a Final ends one.
    fn may_repeat(&self, packet: &BfdPacket) -> bool {
        !packet.poll && !packet.is_final
    }

    fn take_answer(&mut self) -> bool {
        std::mem::take(&mut self.owes_final)
    }

    fn entered(&mut self, to: State, reason: DownReason) {
        match to {
            State::AdminDown | State::Down => {
                self.local_diag = reason.into();
                self.poll = Poll::Idle;
            }
            // The peer reads why the session was Down until it is Up.
            State::Init => {}
            // RFC 5880 §6.8.3: the Desired Min TX Interval is another one since.
            State::Up => {
                self.local_diag = Diagnostic::None;
                self.poll.begin();
            }
        }
    }

    /// In Down no interval is agreed: the Poll at the beginning of Up agrees them.
    fn intervals_changed(&mut self, state: State) {
        if matches!(state, State::Init | State::Up) {
            self.poll.begin();
        }
    }

    /// A session with keys cannot be taken over: keys and sequence numbers are in no file.
    fn save(&self) -> Option<[u8; SPECIFICS_LEN]> {
        if self.authentication.is_some() {
            return None;
        }
        let flags = [
            (self.role == Role::Passive, PASSIVE),
            (self.remote_demand, REMOTE_DEMAND),
            (self.remote_receives_nothing, REMOTE_RECEIVES_NOTHING),
            (self.poll.is_active(), POLLING),
        ];
        let flags = flags.into_iter().fold(0, |all, (is_set, flag)| if is_set { all | flag } else { all });
        Some([flags, self.local_diag as u8, self.remote_diag as u8, self.remote_state as u8])
    }

    /// A Poll that was in progress begins anew: its Final may have gone to the predecessor.
    fn load(&mut self, [flags, local_diag, remote_diag, remote_state]: [u8; SPECIFICS_LEN], state: State) {
        self.role = if flags & PASSIVE == 0 { Role::Active } else { Role::Passive };
        self.remote_demand = flags & REMOTE_DEMAND != 0;
        self.remote_receives_nothing = flags & REMOTE_RECEIVES_NOTHING != 0;
        self.local_diag = Diagnostic::from_bits(local_diag);
        self.remote_diag = Diagnostic::from_bits(remote_diag);
        self.remote_state = State::ALL.get(usize::from(remote_state)).copied().unwrap_or(State::Down);
        if flags & POLLING != 0 {
            self.intervals_changed(state);
        }
    }

    fn source_port(&self) -> u16 {
        self.source_port
    }

    fn diagnostics(&self) -> Option<Diagnostics> {
        Some(Diagnostics { local: self.local_diag, remote: self.remote_diag })
    }

    /// RFC 5880 §6.8.7.
    fn sending(&self, state: State, knows_peer: bool) -> Sending {
        let both_are_up = state == State::Up && self.remote_state == State::Up;
        if self.role == Role::Passive && !knows_peer {
            Sending::Nothing
        } else if self.remote_receives_nothing || (self.remote_demand && both_are_up && !self.poll.is_active()) {
            Sending::Announcements
        } else {
            Sending::Periodic
        }
    }
}
