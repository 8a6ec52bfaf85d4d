//! What the simulator has to know of a protocol.

use crate::protocol::Protocol;
use crate::protocol::bfd::Bfd;
use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::bfd::packet::BfdPacket;
use crate::protocol::liveness::packet::ControlPacket;
use crate::protocol::liveness::{Identity, Liveness};
use crate::protocol::session::Session;
use crate::sim::host_spec::HostSpec;

/// A protocol that simulated hosts speak.
pub trait SimulatedProtocol: Protocol {
    /// What a host says of itself.
    fn identity(spec: &HostSpec) -> Option<Self::Identity>;

    /// The options of a session, of which BFD has some.
    fn options(bfd: &BfdOptions) -> Self::Options;

    /// Whether the options keep two sessions from coming Up with each other.
    fn never_meet(options: [&BfdOptions; 2]) -> bool;

    /// Whether the packet is one that leaves whatever the transmit interval says.
    fn is_answer(packet: &Self::Packet) -> bool;

    /// Whether the packet says by itself that its session accepts it.
    fn is_plain(packet: &Self::Packet) -> bool;

    /// Whether a Poll of the session is not answered yet.
    fn is_polling(session: &Session<Self>) -> bool;
}

impl SimulatedProtocol for Liveness {
    fn identity(spec: &HostSpec) -> Option<Identity> {
        spec.passive.then_some(Identity { passive: true, version: [1, 0, 0, 0] })
    }

    fn options(_: &BfdOptions) {}

    fn never_meet(_: [&BfdOptions; 2]) -> bool {
        false
    }

    fn is_answer(_: &ControlPacket) -> bool {
        false
    }

    fn is_plain(_: &ControlPacket) -> bool {
        true
    }

    fn is_polling(_: &Session) -> bool {
        false
    }
}

impl SimulatedProtocol for Bfd {
    fn identity(_: &HostSpec) -> Option<()> {
        None
    }

    fn options(bfd: &BfdOptions) -> BfdOptions {
        bfd.clone()
    }

    fn never_meet([one, two]: [&BfdOptions; 2]) -> bool {
        use crate::protocol::bfd::options::Role::Passive;
        let confirms = |ours: &BfdOptions, theirs: &BfdOptions| match theirs.keys.first() {
            Some(key) => ours.keys.contains(key),
            None => ours.keys.is_empty(),
        };
        [one.role, two.role] == [Passive; 2] || !confirms(one, two) || !confirms(two, one)
    }

    fn is_answer(packet: &BfdPacket) -> bool {
        packet.is_final
    }

    fn is_plain(packet: &BfdPacket) -> bool {
        packet.authenticated.is_none()
    }

    fn is_polling(session: &Session<Self>) -> bool {
        session.specifics().poll().is_active()
    }
}
