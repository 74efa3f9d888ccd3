//! Sending datagrams, and telling keep-alives from messages.

use std::io::ErrorKind;
use std::net::UdpSocket;

use sip::transport::Flow;

use super::NetCounts;

/// Sends one datagram from the listener's socket; `false` if the address cannot be reached at all.
pub(super) fn send(counts: &NetCounts, socket: &UdpSocket, flow: Flow, bytes: &[u8]) -> bool {
    match socket.send_to(bytes, flow.remote) {
        Ok(_) => {
            NetCounts::add(&counts.sent);
            true
        }
        // A full socket buffer is loss like any other: the transaction sends again.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            NetCounts::add(&counts.send_failed);
            true
        }
        Err(error) => {
            NetCounts::add(&counts.send_failed);
            tracing::debug!(remote = %flow.remote, %error, "datagram not sent");
            // Of the rest only a way that does not exist is worth giving up at once.
            !matches!(
                error.kind(),
                ErrorKind::NetworkUnreachable
                    | ErrorKind::HostUnreachable
                    | ErrorKind::AddrNotAvailable
                    | ErrorKind::InvalidInput
                    | ErrorKind::PermissionDenied
            )
        }
    }
}

/// Phones behind a NAT send line ends, zeros or nothing at all, to keep its binding.
pub(super) fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.len() <= 4
        && datagram
            .iter()
            .all(|byte| matches!(byte, b'\r' | b'\n' | 0))
}
