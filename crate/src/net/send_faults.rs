//! Log lines about packets that could not be sent: at most one of each kind in five seconds.

use std::net::SocketAddr;

use nix::errno::Errno;

use crate::net::tx_socket::SendBuffer;
use crate::protocol::time::Time;
use crate::system::problem::Problem;

const QUIET_US: u64 = 5_000_000;

/// Faults since the last line of their kind.
#[derive(Debug)]
struct Tally<T> {
    first: Option<T>,
    count: u64,
    reported_at: Option<Time>,
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self { first: None, count: 0, reported_at: None }
    }
}

impl<T> Tally<T> {
    fn add(&mut self, fault: T, count: u64) {
        self.first.get_or_insert(fault);
        self.count += count;
    }

    /// The first fault, and how many there were; `None` within five seconds of the last line.
    fn report(&mut self, now: Time) -> Option<(T, u64)> {
        if self.reported_at.is_some_and(|at| now.since(at) < QUIET_US) {
            return None;
        }
        let first = self.first.take()?;
        self.reported_at = Some(now);
        Some((first, std::mem::take(&mut self.count)))
    }
}

/// Packets that could not be sent, since the last line of their kind.
#[derive(Debug, Default)]
pub(crate) struct SendFaults {
    refused: Tally<(Errno, SocketAddr)>,
    blocked: Tally<SendBuffer>,
    held_back: Tally<SendBuffer>,
}

impl SendFaults {
    /// The system refused a packet to this peer.
    pub(crate) fn refused(&mut self, errno: Errno, peer: SocketAddr) {
        self.refused.add((errno, peer), 1);
    }

    /// The socket took nothing although a live session had something to send.
    pub(crate) fn blocked(&mut self, buffer: SendBuffer) {
        self.blocked.add(buffer, 1);
    }

    /// So many packets of sessions that are Down were given up on, to leave room for those of live sessions.
    pub(crate) fn held_back(&mut self, buffer: SendBuffer, count: u64) {
        self.held_back.add(buffer, count);
    }

    /// The problems to log at `now`.
    pub(crate) fn report(&mut self, now: Time) -> impl Iterator<Item = Problem> + use<> {
        let refused = self.refused.report(now).map(|((errno, peer), count)| Problem {
            code: format!("{errno:?}"),
            message: match count {
                1 => format!("cannot send to {peer}: {}", errno.desc()),
                _ => format!("cannot send to {peer}: {}; nor could {} other packets be sent", errno.desc(), count - 1),
            },
        });
        let blocked = self.blocked.report(now).map(|(buffer, count)| Problem {
            code: "ERR_SEND_BUFFER_FULL".into(),
            message: format!(
                "the send buffer is full ({}), and sessions that are Up had to wait {count} times: {CAUSE}",
                in_words(buffer)
            ),
        });
        let held_back = self.held_back.report(now).map(|(buffer, count)| Problem {
            code: "ERR_SEND_BUFFER_FULL".into(),
            message: format!(
                "{count} packets of sessions that are Down were not sent, to leave the other half of the send buffer to sessions \
                 that are Up ({}): {CAUSE}",
                in_words(buffer)
            ),
        });
        [refused, blocked, held_back].into_iter().flatten()
    }
}

const CAUSE: &str =
    "packets wait for the link addresses of neighbours that do not answer, or for a device that does not send";

fn in_words(SendBuffer { size, used }: SendBuffer) -> String {
    format!("{used} of {size} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 44880);

    fn lines(faults: &mut SendFaults, second: u64) -> Vec<String> {
        faults
            .report(Time::from_micros(second * 1_000_000))
            .map(|problem| format!("{}: {}", problem.code, problem.message))
            .collect()
    }

    #[test]
    fn a_failed_send_is_one_line_in_five_seconds_with_the_error_and_the_peer() {
        let mut faults = SendFaults::default();
        assert!(lines(&mut faults, 1).is_empty());
        faults.refused(Errno::ENETUNREACH, PEER);
        let text = "cannot send to 10.0.0.2:44880: Network is unreachable";
        assert_eq!(lines(&mut faults, 2), [format!("ENETUNREACH: {text}")]);
        for _ in 0..7 {
            faults.refused(Errno::EPERM, PEER);
        }
        assert!(lines(&mut faults, 6).is_empty(), "too soon");
        let text = "cannot send to 10.0.0.2:44880: Operation not permitted; nor could 6 other packets be sent";
        assert_eq!(lines(&mut faults, 7), [format!("EPERM: {text}")]);
        assert!(lines(&mut faults, 60).is_empty());
    }

    #[test]
    fn a_full_send_buffer_is_reported_with_its_size_and_what_fills_it() {
        let mut faults = SendFaults::default();
        faults.blocked(SendBuffer { size: 4_096, used: 4_000 });
        faults.held_back(SendBuffer { size: 4_096, used: 2_048 }, 3);
        let told = lines(&mut faults, 1);
        assert!(told[0].starts_with(
            "ERR_SEND_BUFFER_FULL: the send buffer is full (4000 of 4096 bytes), and sessions that are Up"
        ));
        assert!(told[1].starts_with("ERR_SEND_BUFFER_FULL: 3 packets of sessions that are Down were not sent"));
        assert!(told.iter().all(|line| line.contains("neighbours that do not answer")));
    }
}
