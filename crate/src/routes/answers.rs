//! The kernel's answers to requests, as they come in.

use std::num::NonZeroI32;

use netlink_packet_core::NetlinkPayload;
use nix::errno::Errno;

use crate::routes::kernel_route::{Result, RouteError, SystemError};
use crate::system::netlink::each_message;

impl From<Errno> for SystemError {
    fn from(errno: Errno) -> Self {
        Self(errno as i32)
    }
}

impl From<std::io::Error> for RouteError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOBUFS) | None => RouteError::Unanswered,
            Some(number) => RouteError::System(SystemError(number)),
        }
    }
}

/// The kernel's answers to a batch of requests, as they come in.
#[derive(Debug)]
pub struct Answers {
    first: u32,
    answers: Vec<Option<Result<()>>>,
    missing: usize,
}

impl Answers {
    /// To `count` requests with the sequence numbers from `first` on.
    #[must_use]
    pub fn new(first: u32, count: usize) -> Self {
        Self { first, answers: vec![None; count], missing: count }
    }

    /// How many requests have no answer yet.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Takes in what the kernel wrote. The first answer to a request counts; what answers something else is ignored.
    pub fn take_in(&mut self, buffer: &[u8]) {
        each_message(buffer, |message| {
            let at = message.header.sequence_number.wrapping_sub(self.first) as usize;
            if let (NetlinkPayload::Error(error), Some(answer @ None)) = (&message.payload, self.answers.get_mut(at)) {
                *answer = Some(error.code.map_or(Ok(()), |code| Err(RouteError::System(errno_of(code).into()))));
                self.missing -= 1;
            }
        });
    }

    /// One result per request, in their order.
    #[must_use]
    pub fn into_results(self) -> Vec<Result<()>> {
        self.answers.into_iter().map(|answer| answer.unwrap_or(Err(RouteError::Unanswered))).collect()
    }
}

/// The kernel answers with the negative of an error number.
pub(super) fn errno_of(code: NonZeroI32) -> Errno {
    Errno::from_raw(code.get().saturating_neg())
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{ErrorMessage, NetlinkHeader, NetlinkMessage};
    use netlink_packet_route::RouteNetlinkMessage;

    use super::*;
    use crate::system::netlink::NETLINK_HEADER_LEN;

    fn answer(sequence: u32, code: i32) -> Vec<u8> {
        let mut error = ErrorMessage::default();
        error.code = NonZeroI32::new(code);
        error.header = vec![0; NETLINK_HEADER_LEN];
        let mut header = NetlinkHeader::default();
        header.sequence_number = sequence;
        let mut message = NetlinkMessage::<RouteNetlinkMessage>::new(header, NetlinkPayload::Error(error));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    #[test]
    fn answers_are_matched_with_their_requests_whatever_their_order() {
        let mut answers = Answers::new(u32::MAX, 3);
        answers.take_in(&[answer(1, 0), answer(0, -libc::EEXIST)].concat());
        assert_eq!(answers.missing(), 1);
        let results = answers.into_results();
        assert_eq!(results, [Err(RouteError::Unanswered), Err(RouteError::System(SystemError::EXISTS)), Ok(())]);
    }

    #[test]
    fn a_request_that_is_answered_twice_counts_once_and_the_first_answer_holds() {
        let mut answers = Answers::new(7, 1);
        answers.take_in(&[answer(7, 0), answer(7, -libc::EPERM), answer(9, 0)].concat());
        assert_eq!(answers.missing(), 0);
        assert_eq!(answers.into_results(), [Ok(())]);
    }
}
