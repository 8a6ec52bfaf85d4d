//! The handle of a running driver.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;

use crate::driver::command_queue::{Command, CommandQueue};
use crate::driver::driven::Driven;
use crate::driver::mailbox::Mailbox;
use crate::driver::snapshot::StatsReport;
use crate::driver::{Driver, DriverOptions};
use crate::net::start_error::StartError;

/// How long a question to the thread may take; its turns are a thousand times shorter.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The thread did not answer: it has ended, or it hangs.
#[derive(Debug, Error)]
#[error("the engine's thread does not answer")]
pub struct NoAnswer;

/// What the thread will answer.
pub struct Answer<T>(mpsc::Receiver<T>);

impl<T> Answer<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// `NoAnswer` where the thread has ended, at once, or hangs.
    pub fn wait(self) -> Result<T, NoAnswer> {
        self.0.recv_timeout(ANSWER_WITHIN).map_err(|_: RecvTimeoutError| NoAnswer)
    }
}

/// Asks a driver, from any thread.
pub struct Questioner(Arc<CommandQueue>);

impl Questioner {
    /// As `DriverHandle::ask`.
    ///
    /// # Errors
    /// `NoAnswer` where the thread has ended, at once, or hangs.
    pub fn ask<T>(&self, question: impl FnOnce(mpsc::Sender<T>) -> Command) -> Result<T, NoAnswer> {
        let (sender, receiver) = mpsc::channel();
        self.0.put(question(sender));
        Answer(receiver).wait()
    }

    /// Leaves a command for the thread.
    pub fn send(&self, command: Command) {
        self.0.put(command);
    }
}

/// A running driver. Dropping the handle ends the thread and waits for it.
pub struct DriverHandle {
    commands: Arc<CommandQueue>,
    local_addr: SocketAddr,
    resumed: usize,
    thread: Option<JoinHandle<Option<StatsReport>>>,
}

impl DriverHandle {
    /// Binds the socket and starts the thread.
    ///
    /// # Errors
    /// What the system says, `Bind` where the address was the trouble.
    pub fn start<P: Driven>(options: DriverOptions<P>, mailbox: Arc<Mailbox>) -> Result<Self, StartError> {
        let commands = Arc::new(CommandQueue::new()?);
        let driver = Driver::new(options, Arc::clone(&commands), mailbox)?;
        let local_addr = driver.local_addr()?;
        let resumed = driver.resumed();
        let thread = thread::Builder::new().name("liveness".into()).spawn(move || driver.run())?;
        Ok(Self { commands, local_addr, resumed, thread: Some(thread) })
    }

    /// The address that the socket is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many sessions of a predecessor go on.
    #[must_use]
    pub fn resumed(&self) -> usize {
        self.resumed
    }

    /// Leaves a command for the thread.
    pub fn send(&self, command: Command) {
        self.commands.put(command);
    }

    /// Asks the thread something and waits for the answer. The thread never waits for the one who asks.
    ///
    /// # Errors
    /// `NoAnswer` where the thread has ended, at once.
    pub fn ask<T>(&self, question: impl FnOnce(mpsc::Sender<T>) -> Command) -> Result<T, NoAnswer> {
        self.put(question).wait()
    }

    /// Asks the thread something; the answer may be waited for elsewhere.
    #[must_use]
    pub fn put<T>(&self, question: impl FnOnce(mpsc::Sender<T>) -> Command) -> Answer<T> {
        let (sender, receiver) = mpsc::channel();
        self.commands.put(question(sender));
        Answer(receiver)
    }

    /// Asks from a thread of its own, when the handle itself may be closed already.
    #[must_use]
    pub fn questioner(&self) -> Questioner {
        Questioner(Arc::clone(&self.commands))
    }

    /// Ends the thread, after an AdminDown announcement to all peers where `admin_down` says so, and waits. Gives the last
    /// counters, `None` where the thread had stopped by itself. With `forget`, or `admin_down`, a successor finds no sessions.
    #[must_use]
    pub fn close(mut self, admin_down: bool, forget: bool) -> Option<StatsReport> {
        self.commands.put(Command::Close { admin_down, forget });
        self.join()
    }

    /// Tells the thread to end, and does not wait: `close` does.
    pub fn begin_close(&self, admin_down: bool, forget: bool) {
        self.commands.put(Command::Close { admin_down, forget });
    }

    fn join(&mut self) -> Option<StatsReport> {
        // A panic of the thread was already reported, by the mailbox.
        self.thread.take()?.join().ok().flatten()
    }
}

impl Drop for DriverHandle {
    fn drop(&mut self) {
        self.commands.put(Command::Close { admin_down: false, forget: false });
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::time::Instant;

    use super::*;
    use crate::driver::snapshot::SnapshotRequest;
    use crate::driver::tests::{config, mailbox, options};

    #[test]
    fn a_driver_answers_until_it_is_closed_and_then_its_port_is_free() {
        let handle = DriverHandle::start(options(), mailbox()).unwrap();
        handle.send(Command::AddSessions(vec![config(9, "lo")]));
        let all = handle.ask(|answer| Command::Snapshots(SnapshotRequest::From(0), answer)).unwrap();
        assert_eq!(all.sessions.len(), 1);
        assert_eq!(handle.ask(Command::Stats).unwrap().queue_len, 1);
        let address = handle.local_addr();
        assert!(handle.close(false, false).is_some());
        StdSocket::bind(address).expect("the port is free again");
    }

    #[test]
    fn the_end_of_the_thread_is_reported_as_fatal_and_questions_fail_at_once() {
        let (ring, rung) = mpsc::channel();
        let mailbox = Arc::new(Mailbox::new(Box::new(move || ring.send(()).unwrap())));
        let handle = DriverHandle::start(options(), Arc::clone(&mailbox)).unwrap();
        handle.send(Command::Panic);
        // Waits in the inbox of a thread that panics, or comes after its end.
        let began = Instant::now();
        assert!(handle.ask(Command::Stats).is_err());
        assert!(began.elapsed() < ANSWER_WITHIN, "it did not wait for an answer that nobody will give");
        rung.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(mailbox.drain().fatal.is_some());
        let began = Instant::now();
        assert!(handle.ask(|answer| Command::Snapshots(SnapshotRequest::From(0), answer)).is_err());
        assert!(began.elapsed() < ANSWER_WITHIN);
        assert!(handle.close(false, false).is_none());
    }
}
