//! What the thread waits for: the socket, the next deadline, commands, and changes of interfaces.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::protocol::time::Time;

/// What may wake the thread.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(super) enum Source {
    Socket,
    Timer,
    Commands,
    Links,
}

/// What woke the thread.
#[derive(Clone, Copy)]
pub(super) struct Woken(u64);

impl Woken {
    pub(super) fn by(self, source: Source) -> bool {
        self.0 & (1 << source as u64) != 0
    }
}

pub(super) struct Waiter {
    /// Wakes for everything.
    epoll: Epoll,
    /// Wakes for everything but the socket.
    quiet_epoll: Epoll,
    timer: TimerFd,
    /// When the timer is set to go off.
    timer_at: Option<Time>,
    /// The timer went off, and its descriptor is readable until it is set again.
    timer_is_readable: bool,
}

impl Waiter {
    pub(super) fn new(commands: &impl AsFd, links: &impl AsFd) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let quiet_epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let readable = |source: Source| EpollEvent::new(EpollFlags::EPOLLIN, source as u64);
        for epoll in [&epoll, &quiet_epoll] {
            epoll.add(timer.as_fd(), readable(Source::Timer))?;
            epoll.add(commands, readable(Source::Commands))?;
            epoll.add(links, readable(Source::Links))?;
        }
        Ok(Self { epoll, quiet_epoll, timer, timer_at: None, timer_is_readable: false })
    }

    /// Wakes for this socket, too.
    pub(super) fn add_socket(&self, socket: &impl AsFd) -> nix::Result<()> {
        self.epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, Source::Socket as u64))
    }

    /// Sleeps until an event or the deadline, and returns what woke it. With a deadline within `quiet_us` that is no packet.
    pub(super) fn wait(&mut self, now: Time, deadline: Option<Time>, quiet_us: u64) -> nix::Result<Woken> {
        let left_us = deadline.map(|deadline| deadline.since(now));
        let timeout = if left_us == Some(0) { EpollTimeout::ZERO } else { EpollTimeout::NONE };
        if left_us != Some(0) {
            self.set_timer(deadline)?;
        }
        let epoll = if left_us.is_some_and(|us| us <= quiet_us) { &self.quiet_epoll } else { &self.epoll };
        let mut events = [EpollEvent::empty(); 8];
        let count = match epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            result => result?,
        };
        let woken = Woken(events[..count].iter().fold(0u64, |woken, event| woken | 1 << event.data()));
        self.timer_is_readable |= woken.by(Source::Timer);
        Ok(woken)
    }

    /// Sets the timer to another deadline. That also makes a timer that went off unreadable, without a read.
    fn set_timer(&mut self, deadline: Option<Time>) -> nix::Result<()> {
        if deadline == self.timer_at && !self.timer_is_readable {
            return Ok(());
        }
        match deadline {
            Some(at) => {
                let at = TimeSpec::from_duration(Duration::from_micros(at.micros()));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.unset()?,
        }
        (self.timer_at, self.timer_is_readable) = (deadline, false);
        Ok(())
    }
}
