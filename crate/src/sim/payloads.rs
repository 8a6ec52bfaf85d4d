//! The payloads of packets that wait in the send queue of a host. The queue holds packets of the liveness protocol's size, so
//! it gets the number of a payload in their place.

use std::collections::VecDeque;

use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;

/// More than a send queue holds.
const MOST: usize = 8_192;

/// The last payloads of a host, by their numbers.
#[derive(Debug)]
pub(super) struct Payloads<B> {
    first: u64,
    kept: VecDeque<B>,
}

impl<B> Payloads<B> {
    pub(super) fn new() -> Self {
        Self { first: 0, kept: VecDeque::new() }
    }

    /// Keeps a payload, and gives what stands for it in the send queue.
    pub(super) fn keep(&mut self, payload: B) -> [u8; Liveness::PACKET_LEN] {
        if self.kept.len() == MOST {
            self.kept.pop_front();
            self.first += 1;
        }
        let number = self.first + self.kept.len() as u64;
        self.kept.push_back(payload);
        let mut token = [0; Liveness::PACKET_LEN];
        token[..8].copy_from_slice(&number.to_le_bytes());
        token
    }

    /// The payload that a packet of the send queue stands for.
    pub(super) fn of(&self, token: &[u8; Liveness::PACKET_LEN]) -> &B {
        let number = u64::from_le_bytes(*token.first_chunk().expect("a packet is longer than a number"));
        &self.kept[(number - self.first) as usize]
    }
}
