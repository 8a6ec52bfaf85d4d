//! Packets on their way to the socket, in their order. What it does not take waits.

use std::collections::VecDeque;

use crate::socket::{Outgoing, UdpSocket};
use crate::stats::{ScopeId, Stats};
use crate::time::Time;

/// A socket that is full is tried again after this.
const RETRY_US: u64 = 1_000;

#[derive(Debug)]
pub struct Outbox {
    packets: VecDeque<Outgoing>,
    /// What each is counted for.
    scopes: VecDeque<ScopeId>,
    most: usize,
    retry_at: Option<Time>,
}

impl Outbox {
    /// An empty one, which keeps no more than `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { packets: VecDeque::new(), scopes: VecDeque::new(), most, retry_at: None }
    }

    /// When a socket that was full is to be tried again.
    #[must_use]
    pub fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    /// Puts a packet behind the others. Where there are too many, the oldest is given up: gives what it counted for.
    pub fn put(&mut self, packet: Outgoing, scope: ScopeId) -> Option<ScopeId> {
        let stale = if self.packets.len() >= self.most { self.scopes.pop_front() } else { None };
        if stale.is_some() {
            self.packets.pop_front();
        }
        self.scopes.push_back(scope);
        self.packets.push_back(packet);
        stale
    }

    /// Sends what the socket takes, and counts it.
    pub fn flush(&mut self, now: Time, socket: &mut UdpSocket, stats: &mut Stats) {
        if self.retry_at.is_some_and(|at| at > now) {
            return;
        }
        self.retry_at = None;
        while !self.packets.is_empty() {
            // Where the memory wraps around the rest follows in the next round.
            let packets = self.packets.as_slices().0;
            let offered = packets.len();
            let mut refused = Vec::new();
            let done = socket.send(packets, |at, _| refused.push(at));
            for scope in self.scopes.iter().take(done) {
                stats.at(*scope).tx += 1;
            }
            for at in refused {
                let counters = stats.at(self.scopes[at]);
                counters.tx -= 1;
                counters.write_errors += 1;
            }
            self.scopes.drain(..done);
            self.packets.drain(..done);
            if done < offered {
                stats.at(self.scopes[0]).write_errors += 1;
                self.retry_at = Some(now.plus(RETRY_US));
                return;
            }
        }
    }
}
