//! Sends liveness packets from one thread as fast as the system accepts them, for a bounded time.
//!
//! `flood '{"kind":"garbage","iface":"v2","sources":["10.201.0.2"],"to":"10.201.0.1","seconds":4}'`
//!
//! `garbage` sends random bytes. `unknown-peers` and `discriminators` send valid packets in any state that name a discriminator which no
//! session has; the sources are unknown peers in the first case, and peers in the second. Prints how many packets were sent.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use route_liveness::net::cells::BATCH;
use route_liveness::net::socket::bind;
use route_liveness::net::tx_socket::{Outgoing, Wire};
use route_liveness::protocol::Protocol;
use route_liveness::protocol::jitter::Xorshift32;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::liveness::packet::{ControlPacket, PACKET_LEN};
use route_liveness::protocol::state::State;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Setup {
    kind: Kind,
    iface: String,
    /// Addresses of this host, used in turn.
    sources: Vec<Ipv4Addr>,
    to: Ipv4Addr,
    #[serde(default = "default_port")]
    port: u16,
    #[serde(default = "default_seed")]
    seed: u32,
    /// At most 60.
    seconds: u64,
}

const fn default_port() -> u16 {
    Liveness::PORT
}

const fn default_seed() -> u32 {
    1
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Garbage,
    UnknownPeers,
    Discriminators,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    sent: u64,
    refused: u64,
    seconds: f64,
}

fn main() -> ExitCode {
    let setup = std::env::args().nth(1).ok_or_else(|| "flood wants its settings as JSON".to_owned());
    let outcome = setup.and_then(|text| serde_json::from_str::<Setup>(&text).map_err(|error| error.to_string()));
    match outcome.and_then(|setup| flood(&setup)) {
        Ok(sent) => {
            println!("{}", serde_json::to_string(&sent).expect("numbers can be written as JSON"));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("flood: {problem}");
            ExitCode::from(2)
        }
    }
}

fn flood(setup: &Setup) -> Result<Sent, String> {
    if setup.sources.is_empty() {
        return Err("sources are empty".into());
    }
    let ifindex = if_nametoindex(setup.iface.as_str()).map_err(|errno| format!("{}: {errno}", setup.iface))?;
    let (_, mut socket) =
        bind::<Liveness>(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), 0).map_err(|errno| errno.to_string())?;
    let mut random = Xorshift32::new(setup.seed);
    let mut sources = setup.sources.iter().copied().cycle();
    let began = Instant::now();
    let lasts = Duration::from_secs(setup.seconds.min(60));
    let mut sent = Sent { sent: 0, refused: 0, seconds: 0.0 };
    while began.elapsed() < lasts {
        let batch: Vec<Outgoing<[u8; PACKET_LEN]>> = (0..BATCH)
            .map(|_| Outgoing {
                bytes: bytes(setup.kind, &mut random),
                destination: SocketAddrV4::new(setup.to, setup.port).into(),
                source: sources.next().expect("a cycle over at least one source never ends").into(),
                source_port: 0,
                ifindex,
            })
            .collect();
        let mut refused = 0;
        sent.sent += socket.send(&batch, |_, _| refused += 1) as u64 - refused;
        sent.refused += refused;
    }
    sent.seconds = began.elapsed().as_secs_f64();
    Ok(sent)
}

fn bytes(kind: Kind, random: &mut Xorshift32) -> [u8; PACKET_LEN] {
    match kind {
        Kind::Garbage => {
            let mut bytes = [0; PACKET_LEN];
            for four in bytes.chunks_mut(4) {
                four.copy_from_slice(&random.next_u32().to_be_bytes());
            }
            bytes
        }
        Kind::UnknownPeers | Kind::Discriminators => ControlPacket {
            state: State::ALL[random.below(4) as usize],
            detect_mult: 3,
            local_discr: random.next_u32(),
            // Never 0: a packet may name no discriminator.
            peer_discr: random.next_u32(),
            desired_min_tx_us: 100_000,
            required_min_rx_us: 100_000,
            passive: false,
            client_version: [0; 4],
        }
        .marshal(),
    }
}
