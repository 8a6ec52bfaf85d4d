//! Datagrams and interfaces: the socket, its filter, what waits to be sent, arrival times, and the names of interfaces.

pub mod arrival;
pub mod interface_names;
pub mod links;
pub mod listener;
pub mod send_faults;
pub mod send_queue;
pub mod socket;
pub mod socket_filter;
pub mod start_error;
