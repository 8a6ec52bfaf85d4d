//! The states of a session, and why it goes Down: the same for every protocol of the family of RFC 5880.

/// A session's state as the wire has it, in two bits (RFC 5880 §4.1 `Sta`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// Out of service.
    AdminDown = 0,
    /// The peer does not answer, or says that it is Down.
    Down = 1,
    /// The peer is heard; whether it hears us is not known yet.
    Init = 2,
    /// Both sides hear each other.
    Up = 3,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [State; 4] = [State::AdminDown, State::Down, State::Init, State::Up];

    /// The name that logs, metrics and the TypeScript side use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            State::AdminDown => "admin_down",
            State::Down => "down",
            State::Init => "init",
            State::Up => "up",
        }
    }

    /// The state in the two high bits of a byte.
    #[must_use]
    pub const fn from_bits(byte: u8) -> Self {
        match byte >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        }
    }
}

/// Why a session was last taken Down (reference name: `DownReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DownReason {
    /// It was never taken Down.
    None,
    /// The peer was silent for the detection time.
    Timeout,
    /// The peer said AdminDown.
    RemoteAdmin,
    /// We took the session out of service.
    LocalAdmin,
    /// The peer said Down.
    RemoteDown,
}

impl DownReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [DownReason; 5] = [
        DownReason::None,
        DownReason::Timeout,
        DownReason::RemoteAdmin,
        DownReason::LocalAdmin,
        DownReason::RemoteDown,
    ];

    /// The name that logs, events and the TypeScript side use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DownReason::None => "none",
            DownReason::Timeout => "timeout",
            DownReason::RemoteAdmin => "remote_admin",
            DownReason::LocalAdmin => "local_admin",
            DownReason::RemoteDown => "remote_down",
        }
    }
}
