//! Datagrams and interfaces: the socket, its filter, what waits to be sent, arrival times, and the names of interfaces.

pub(crate) mod arrival;
mod batch_calls;
pub mod cells;
pub mod interface_names;
pub mod links;
pub mod listener;
pub mod outlet;
mod packet_info;
pub(crate) mod repeat_filter;
pub mod rx_socket;
pub(crate) mod send_faults;
pub(crate) mod send_queue;
pub mod session_sockets;
pub mod socket;
pub mod socket_address;
pub mod socket_filter;
mod socket_options;
pub mod start_error;
pub mod tx_socket;
mod udp_header;
