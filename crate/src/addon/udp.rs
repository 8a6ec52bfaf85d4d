//! The class for a socket without an engine.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use napi::bindgen_prelude::*;
use napi_derive::napi;
use nix::errno::Errno;

use crate::addon::doorbell::Doorbell;
use crate::addon::errors::{Coded, closed, coded, from_start, name_of};
use crate::addon::objects::{LocalAddr, address, time};
use crate::net::listener::{Arrived, Listener};
use crate::net::socket;
use crate::protocol::liveness::Liveness;

#[napi]
pub struct NativeUdp {
    /// `None` after `close`.
    listener: RefCell<Option<Listener>>,
    doorbell: Doorbell,
}

#[napi]
impl NativeUdp {
    #[napi(constructor)]
    pub fn new(bind_ip: String, port: u16, doorbell: Function<'_, (), ()>) -> std::result::Result<Self, Coded> {
        let doorbell = Doorbell::new(doorbell)?;
        let address = SocketAddrV4::new(ipv4(&bind_ip)?, port);
        let listener = Listener::start(address, doorbell.button()).map_err(|error| from_start(&error))?;
        Ok(Self { listener: RefCell::new(Some(listener)), doorbell })
    }

    #[napi(ts_return_type = "{ address: string; port: number } | null")]
    pub fn local_addr(&self) -> Option<LocalAddr> {
        Some(self.listener.borrow().as_ref()?.local_addr().map(SocketAddr::from).ok()?.into())
    }

    /// The datagrams that arrived since the previous call.
    #[napi]
    pub fn take(&self) -> std::result::Result<Vec<NativeDatagram>, Coded> {
        let listener = self.listener.borrow();
        let arrived = listener.as_ref().ok_or_else(closed)?.take();
        let arrived = arrived.map_err(|errno| coded(name_of(errno), errno.desc()))?;
        Ok(arrived.into_iter().map(Into::into).collect())
    }

    /// Sends a datagram, and returns the number of bytes sent.
    #[napi]
    pub fn send(
        &self,
        bytes: &[u8],
        peer_ip: String,
        port: u16,
        iface: Option<String>,
        src: Option<String>,
    ) -> std::result::Result<u32, Coded> {
        let to = SocketAddrV4::new(ipv4(&peer_ip)?, port);
        let src = src.as_deref().map(ipv4).transpose()?;
        let listener = self.listener.borrow();
        let sent = listener.as_ref().ok_or_else(closed)?.send(bytes, to, iface.as_deref(), src);
        let sent = sent.map_err(|errno| coded(name_of(errno), format!("cannot send to {to}: {}", errno.desc())))?;
        Ok(u32::try_from(sent).expect("a datagram has fewer bytes"))
    }

    /// Sets the TOS of the liveness protocol on a socket of Node's, which Node cannot do. False if no socket is bound to the
    /// address.
    #[napi]
    pub fn mark_packets(bind_ip: String, port: u16) -> std::result::Result<bool, Coded> {
        socket::mark_bound::<Liveness>(SocketAddr::new(address(&bind_ip)?, port)).map_err(|error| {
            coded(name_of(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)), error.to_string())
        })
    }

    /// Ends the thread and closes the socket.
    #[napi]
    pub fn close(&self) {
        drop(self.listener.borrow_mut().take());
        self.doorbell.let_go();
    }
}

fn ipv4(text: &str) -> std::result::Result<Ipv4Addr, Coded> {
    match address(text)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(coded("ERR_INVALID_ADDRESS", format!("Expected an IPv4 address, got `{text}`"))),
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeDatagram {
    pub data: Buffer,
    pub address: String,
    pub port: u16,
    #[napi(js_name = "localIP")]
    pub local_ip: String,
    pub iface: String,
    pub arrival_us: f64,
}

impl From<Arrived> for NativeDatagram {
    fn from(arrived: Arrived) -> Self {
        Self {
            data: arrived.bytes.into(),
            address: arrived.source.ip().to_string(),
            port: arrived.source.port(),
            local_ip: arrived.local.to_string(),
            iface: arrived.interface,
            arrival_us: time(arrived.arrival),
        }
    }
}
