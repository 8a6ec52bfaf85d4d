//! An engine of BFD against a peer whose packets the tests write: the rules of RFC 5880 that need more than one packet.

mod authentication;
mod demultiplexing;
mod peer;
mod poll;
mod sending;
mod states;
