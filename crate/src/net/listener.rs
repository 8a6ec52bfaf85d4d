//! A socket without an engine, for programs that drive sessions themselves. A thread reads it; any thread may send.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, getsockname, recvmsg, sendmsg};

use crate::net::arrival::Arrivals;
use crate::net::interface_names::index_of;
use crate::net::links::Links;
use crate::net::socket;
use crate::net::start_error::StartError;
use crate::protocol::liveness::Liveness;
use crate::protocol::time::Time;
use crate::system::clock;
use crate::system::doorbell::{Bell, Doorbell};
use crate::system::sync::Mutex;
use crate::system::sync::atomic::{AtomicBool, Ordering};

/// The longest datagram that is read whole; a longer one is cut.
const LONGEST_DATAGRAM: usize = 2_048;

/// At most this many datagrams wait to be taken. Further ones are dropped, as a full socket does.
const MOST_KEPT: usize = 4_096;

/// How many peers the socket's buffers are made for.
const EXPECTED_PEERS: usize = 5_120;

/// A datagram with the context that it came in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The payload.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub source: SocketAddrV4,
    /// The address that it was sent to.
    pub local: Ipv4Addr,
    /// Empty where it is gone by now.
    pub interface: String,
    /// When the kernel received it.
    pub arrival: Time,
}

#[derive(Default)]
struct Kept {
    datagrams: VecDeque<Arrived>,
    failure: Option<Errno>,
}

/// Datagrams that were read and wait to be taken.
struct ReceivedQueue {
    kept: Mutex<Kept>,
    doorbell: Doorbell,
}

impl ReceivedQueue {
    fn new(bell: Bell) -> Self {
        Self { kept: Mutex::new(Kept::default()), doorbell: Doorbell::new(bell) }
    }

    fn keep(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept.lock().expect("no holder of this lock panics"));
        self.doorbell.ring();
    }

    fn take(&self) -> nix::Result<VecDeque<Arrived>> {
        self.doorbell.answer();
        let mut kept = self.kept.lock().expect("no holder of this lock panics");
        match kept.failure.take() {
            Some(errno) => Err(errno),
            None => Ok(std::mem::take(&mut kept.datagrams)),
        }
    }
}

struct Shared {
    queue: ReceivedQueue,
    stop: AtomicBool,
    wake: EventFd,
}

/// A bound socket that is being read. Dropping it ends the thread and closes the socket.
pub struct Listener {
    fd: Arc<OwnedFd>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Binds to `address` and starts to read. `bell` rings once for all that comes until the next `take`.
    ///
    /// # Errors
    /// What the system says, `Bind` where the address was the trouble.
    pub fn start(address: SocketAddrV4, bell: Bell) -> Result<Self, StartError> {
        let (rx, mut tx) = socket::bind::<Liveness>(address.into(), EXPECTED_PEERS).map_err(StartError::Bind)?;
        // All sessions that the program drives share the buffer, also those whose neighbours do not answer.
        tx.fit_send_buffer(EXPECTED_PEERS)?;
        let fd = rx.descriptor();
        let links = Links::new()?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let shared = Arc::new(Shared { queue: ReceivedQueue::new(bell), stop: AtomicBool::new(false), wake });
        let reader = Reader {
            shared: Arc::clone(&shared),
            fd: Arc::clone(&fd),
            links,
            arrivals: Arrivals::new(clock::reading()),
        };
        let thread = thread::Builder::new().name("liveness-udp".into()).spawn(move || reader.run())?;
        Ok(Self { fd, shared, thread: Some(thread) })
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// None that a bound socket is known to give.
    pub fn local_addr(&self) -> nix::Result<SocketAddrV4> {
        getsockname::<SockaddrIn>(self.fd.as_raw_fd()).map(SocketAddrV4::from)
    }

    /// Everything that has come since the last time; an error where the socket failed.
    ///
    /// # Errors
    /// What the system said about a read, once.
    pub fn take(&self) -> nix::Result<VecDeque<Arrived>> {
        self.shared.queue.take()
    }

    /// Sends one datagram; without `interface` or `source` the routing table chooses.
    ///
    /// # Errors
    /// What the system says: `ENODEV` where there is no such interface, `EAGAIN` where the socket takes no more.
    pub fn send(
        &self,
        bytes: &[u8],
        destination: SocketAddrV4,
        interface: Option<&str>,
        source: Option<Ipv4Addr>,
    ) -> nix::Result<usize> {
        let ifindex = match interface {
            Some(name) => index_of(&*self.fd, name)?.ok_or(Errno::ENODEV)?,
            None => 0,
        };
        let info = packet_info(ifindex, source.unwrap_or(Ipv4Addr::UNSPECIFIED));
        let (vectors, control) = ([IoSlice::new(bytes)], [ControlMessage::Ipv4PacketInfo(&info)]);
        let to = SockaddrIn::from(destination);
        sendmsg(self.fd.as_raw_fd(), &vectors, &control, MsgFlags::MSG_DONTWAIT, Some(&to))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Fails only where the counter is full, and then the thread has long been woken.
        let _ = self.shared.wake.write(1);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Reader {
    shared: Arc<Shared>,
    fd: Arc<OwnedFd>,
    links: Links,
    arrivals: Arrivals,
}

impl Reader {
    fn run(mut self) {
        loop {
            let result = self.turn();
            if self.shared.stop.load(Ordering::SeqCst) {
                return;
            }
            if let Err(errno) = result {
                self.shared.queue.keep(|kept| kept.failure = Some(errno));
                return;
            }
        }
    }

    fn turn(&mut self) -> nix::Result<()> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut ready = [readable(self.fd.as_fd()), readable(self.links.as_fd()), readable(self.shared.wake.as_fd())];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        if ready[1].any() == Some(true) {
            self.links.refresh();
            // Only packets refer to them, and there are none of interfaces that are gone.
            self.links.forget_absent();
        }
        self.read_all()
    }

    /// Reads until the socket is empty, or the reader is to stop, however much more comes.
    fn read_all(&mut self) -> nix::Result<()> {
        while !self.shared.stop.load(Ordering::SeqCst) {
            match self.read_one() {
                Ok(arrived) => self.shared.queue.keep(|kept| {
                    if kept.datagrams.len() < MOST_KEPT {
                        kept.datagrams.push_back(arrived);
                    }
                }),
                Err(Errno::EAGAIN) => {
                    self.arrivals.drained();
                    return Ok(());
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn read_one(&mut self) -> nix::Result<Arrived> {
        let mut bytes = vec![0; LONGEST_DATAGRAM];
        let mut control = cmsg_space!(libc::in_pktinfo, libc::timespec);
        let (info, stamp_wall_us, length, source) = {
            let mut vectors = [IoSliceMut::new(&mut bytes)];
            let (fd, flags) = (self.fd.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let message = recvmsg::<SockaddrIn>(fd, &mut vectors, Some(&mut control), flags)?;
            let (mut info, mut stamp) = (None, None);
            for told in message.cmsgs()? {
                match told {
                    ControlMessageOwned::Ipv4PacketInfo(told) => info = Some(told),
                    ControlMessageOwned::ScmTimestampns(at) => {
                        stamp = Some(at.tv_sec() * 1_000_000 + at.tv_nsec() / 1_000);
                    }
                    _ => {}
                }
            }
            (info, stamp, message.bytes, message.address)
        };
        bytes.truncate(length);
        self.arrivals.observe(clock::reading());
        let info = info.ok_or(Errno::EPROTO)?;
        Ok(Arrived {
            bytes,
            source: source.map(SocketAddrV4::from).ok_or(Errno::EPROTO)?,
            local: Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)),
            interface: self.links.name_of(info.ipi_ifindex.unsigned_abs()).to_owned(),
            arrival: self.arrivals.arrival(stamp_wall_us),
        })
    }
}

fn packet_info(ifindex: u32, source: Ipv4Addr) -> libc::in_pktinfo {
    libc::in_pktinfo {
        ipi_ifindex: ifindex.cast_signed(),
        ipi_spec_dst: libc::in_addr { s_addr: u32::from(source).to_be() },
        ipi_addr: libc::in_addr { s_addr: 0 },
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_datagram_has_its_destination_its_interface_and_its_arrival() {
        let (ring, rung) = mpsc::channel();
        let bell = move || ring.send(()).unwrap();
        let listener = Listener::start("0.0.0.0:0".parse().unwrap(), Box::new(bell)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = StdSocket::bind("127.0.0.1:0").unwrap();
        let before = clock::now();
        peer.send_to(&[7; 60], ("127.0.0.3", port)).unwrap();
        rung.recv_timeout(Duration::from_secs(10)).unwrap();
        let arrived = listener.take().unwrap().remove(0).unwrap();
        assert_eq!((arrived.local, arrived.interface.as_str()), (Ipv4Addr::new(127, 0, 0, 3), "lo"));
        assert_eq!(arrived.bytes, [7; 60]);
        assert!(arrived.arrival >= before.minus(1_000) && arrived.arrival <= clock::now());
    }

    #[test]
    fn a_listener_stops_at_once_while_datagrams_keep_coming() {
        let listener = Listener::start("127.0.0.1:0".parse().unwrap(), Box::new(|| {})).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, running) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let floods = [(); 2].map(|()| {
            let (stop, running) = (Arc::clone(&stop), Arc::clone(&running));
            thread::spawn(move || {
                let peer = StdSocket::bind("127.0.0.1:0").unwrap();
                running.fetch_add(1, Ordering::SeqCst);
                // Ends by itself, so that a listener which waits for the end is told from one that hangs.
                let until = Instant::now() + Duration::from_secs(20);
                while !stop.load(Ordering::SeqCst) && Instant::now() < until {
                    // Refused once the listener has closed its socket.
                    let _ = peer.send_to(&[7; 40], address);
                }
                running.fetch_sub(1, Ordering::SeqCst);
            })
        });
        while running.load(Ordering::SeqCst) < floods.len() {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(100));
        drop(listener);
        assert_eq!(running.load(Ordering::SeqCst), floods.len(), "it did not wait for the end of the flood");
        stop.store(true, Ordering::SeqCst);
        floods.into_iter().for_each(|flood| flood.join().unwrap());
    }

    #[test]
    fn what_is_sent_leaves_from_the_given_address_and_a_missing_interface_is_an_error() {
        let listener = Listener::start("0.0.0.0:0".parse().unwrap(), Box::new(|| {})).unwrap();
        let peer = StdSocket::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(to) = peer.local_addr().unwrap() else { unreachable!("bound to IPv4") };
        listener.send(&[1; 40], to, Some("lo"), Some(Ipv4Addr::new(127, 0, 0, 9))).unwrap();
        let (length, from) = peer.recv_from(&mut [0; 64]).unwrap();
        assert_eq!((length, from.ip().to_string()), (40, "127.0.0.9".to_owned()));
        assert_eq!(listener.send(&[1; 40], to, Some("nowhere0"), None), Err(Errno::ENODEV));
    }
}

#[cfg(all(test, loom))]
mod every_order {
    use loom::thread;

    use super::*;

    #[test]
    fn every_datagram_is_delivered_in_every_order_of_the_threads() {
        loom::model(|| {
            let rung = Arc::new(Mutex::new(false));
            let bell = Arc::clone(&rung);
            let queue = Arc::new(ReceivedQueue::new(Box::new(move || *bell.lock().unwrap() = true)));
            let full = Arc::clone(&queue);
            let reader = thread::spawn(move || {
                for octet in [1, 2] {
                    let local = Ipv4Addr::new(10, 0, 0, octet);
                    let (bytes, interface, arrival) = (Vec::new(), String::new(), Time::from_micros(1));
                    let arrived = Arrived { bytes, source: SocketAddrV4::new(local, 1), local, interface, arrival };
                    full.keep(|kept| kept.datagrams.push_back(arrived));
                }
            });
            let deliver = || {
                let is_rung = std::mem::take(&mut *rung.lock().unwrap());
                if is_rung { queue.take().unwrap().len() } else { 0 }
            };
            let meanwhile = deliver();
            reader.join().unwrap();
            assert_eq!(meanwhile + deliver(), 2, "what a ring did not deliver, the next one does");
        });
    }
}
