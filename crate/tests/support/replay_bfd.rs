//! The options and packets of BFD sessions in scenarios.

use route_liveness::protocol::Header;
use route_liveness::protocol::bfd::authentication::Authentication;
use route_liveness::protocol::bfd::authentication::key::{Key, Kind, Variant};
use route_liveness::protocol::bfd::options::{BfdOptions, Role};
use route_liveness::protocol::bfd::packet::BfdPacket;
use route_liveness::protocol::diagnostic::Diagnostic;
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WireOptions {
    #[serde(default)]
    passive: bool,
    auth: Option<WireAuth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireAuth {
    #[serde(rename = "type")]
    kind: String,
    keys: Vec<WireKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireKey {
    id: u8,
    /// The secret as text.
    secret: String,
    /// `rfc`, which is the default, or `frr-hmac`.
    variant: Option<String>,
}

/// A packet of a BFD peer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WireBfdPacket {
    state: String,
    /// The number of a diagnostic.
    #[serde(default)]
    diag: u8,
    #[serde(default)]
    poll: bool,
    #[serde(default, rename = "final")]
    is_final: bool,
    #[serde(default)]
    demand: bool,
    local_discr: u32,
    peer_discr: u32,
    detect_mult: u8,
    desired_min_tx_us: u32,
    required_min_rx_us: u32,
    #[serde(default)]
    required_min_echo_rx_us: u32,
    sign: Option<WireSign>,
}

/// The section of a signed packet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireSign {
    #[serde(rename = "type")]
    kind: String,
    key: WireKey,
    sequence: u32,
}

impl WireOptions {
    pub(super) fn read(&self) -> BfdOptions {
        let keys = self.auth.iter().flat_map(|auth| auth.keys.iter().map(|key| key.read(&auth.kind)));
        BfdOptions {
            role: if self.passive { Role::Passive } else { Role::Active },
            keys: keys.collect(),
            source_port: 0,
        }
    }
}

impl WireKey {
    fn read(&self, kind: &str) -> Key {
        let kind = match kind {
            "simple" => Kind::SimplePassword,
            "md5" => Kind::KeyedMd5,
            "meticulous-md5" => Kind::MeticulousKeyedMd5,
            "sha1" => Kind::KeyedSha1,
            "meticulous-sha1" => Kind::MeticulousKeyedSha1,
            other => panic!("no authentication type is named {other}"),
        };
        let variant = match self.variant.as_deref() {
            None | Some("rfc") => Variant::Rfc,
            Some("frr-hmac") => Variant::FrrHmac,
            Some(other) => panic!("no variant is named {other}"),
        };
        Key::new(self.id, kind, variant, self.secret.as_bytes()).expect("a key of a scenario is valid")
    }
}

impl WireBfdPacket {
    pub(super) fn marshal(&self) -> Vec<u8> {
        let packet = BfdPacket {
            header: Header {
                state: State::ALL.into_iter().find(|state| state.name() == self.state).expect("the name of a state"),
                detect_mult: self.detect_mult,
                local_discr: self.local_discr,
                peer_discr: self.peer_discr,
                desired_min_tx_us: self.desired_min_tx_us,
                required_min_rx_us: self.required_min_rx_us,
            },
            diagnostic: Diagnostic::from_bits(self.diag),
            poll: self.poll,
            is_final: self.is_final,
            demand: self.demand,
            required_min_echo_rx_us: self.required_min_echo_rx_us,
            authenticated: None,
        };
        let Some(WireSign { kind, key, sequence }) = &self.sign else { return packet.marshal().to_vec() };
        // The first number that is sent is the next one.
        let keys = [key.read(kind)].into();
        let mut authentication = Authentication::new(keys, sequence.wrapping_sub(1)).expect("there is a key");
        authentication.sign(packet.marshal(), Time::from_micros(1)).as_ref().to_vec()
    }
}
