//! The names and indices of interfaces, asked of the kernel through a socket that the caller has already: the C library's
//! functions open one for each question, and a process at its limit of descriptors would hear that there is no such interface.

use std::os::fd::AsFd;

use nix::errno::Errno;
use rustix::net::netdevice;

/// The index of the interface with this name, an alternative name or a label of one of its addresses (`eth0:1`) included;
/// `None` where there is none.
///
/// # Errors
/// What the system says of the socket.
pub fn index_of(socket: impl AsFd, name: &str) -> nix::Result<Option<u32>> {
    if_it_exists(netdevice::name_to_index(socket, name))
}

/// The name of the interface with this index; `None` where there is none.
///
/// # Errors
/// What the system says of the socket.
pub fn name_of(socket: impl AsFd, index: u32) -> nix::Result<Option<String>> {
    if_it_exists(netdevice::index_to_name(socket, index))
}

fn if_it_exists<T>(answer: rustix::io::Result<T>) -> nix::Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(rustix::io::Errno::NODEV) => Ok(None),
        Err(errno) => Err(Errno::from_raw(errno.raw_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn an_interface_is_found_by_its_name_and_by_its_index() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let index = index_of(&socket, "lo").unwrap().unwrap();
        assert_eq!(name_of(&socket, index), Ok(Some("lo".to_owned())));
    }

    #[test]
    fn an_interface_that_does_not_exist_has_neither_index_nor_name() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(index_of(&socket, "no-such-one"), Ok(None));
        assert_eq!(index_of(&socket, "a-name-longer-than-the-kernel-takes"), Ok(None));
        assert_eq!(name_of(&socket, u32::MAX), Ok(None));
    }

    #[test]
    fn a_socket_of_any_kind_serves() {
        let netlink = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
        assert!(index_of(&netlink, "lo").unwrap().is_some());
    }

    #[test]
    fn a_question_that_the_system_refuses_is_an_error_and_not_an_absent_interface() {
        let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        assert_eq!(index_of(&file, "lo"), Err(Errno::ENOTTY));
        assert_eq!(name_of(&file, 1), Err(Errno::ENOTTY));
    }
}
