//! One UDP listener: a loop that receives, and the socket that sends.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use sip::transport::{Flow, ListenerId, Transport};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::TrySendError;

use super::{NetCounts, NetInput, Shared};

/// Receives until the transports stop. Control behind: the datagram is dropped and counted, as the
/// network itself may do, and the peer sends it again.
pub(super) async fn receive(shared: Arc<Shared>, listener: ListenerId, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0_u8; DATAGRAM_MAX];
    loop {
        let received = tokio::select! {
            () = shared.stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, remote)) = received else {
            // An ICMP error of an earlier datagram may end up here; it is not this socket's end.
            tokio::task::yield_now().await;
            continue;
        };
        let Some(datagram) = buffer.get(..length) else {
            continue;
        };
        if is_keep_alive(datagram) {
            NetCounts::add(&shared.counts.keep_alives);
            continue;
        }
        let flow = Flow {
            transport: Transport::Udp,
            listener,
            remote,
            connection: None,
        };
        let input = NetInput::Packet {
            flow,
            bytes: Bytes::copy_from_slice(datagram),
        };
        match shared.inputs.try_send(input) {
            Ok(()) => NetCounts::add(&shared.counts.received),
            Err(TrySendError::Full(_)) => NetCounts::add(&shared.counts.input_full),
            Err(TrySendError::Closed(_)) => return,
        }
    }
}

/// Sends one datagram from the listener's socket; `false` if the address cannot be reached at all.
pub(super) fn send(shared: &Shared, socket: &UdpSocket, flow: Flow, bytes: &[u8]) -> bool {
    match socket.try_send_to(bytes, flow.remote) {
        Ok(_) => {
            NetCounts::add(&shared.counts.sent);
            true
        }
        // A full socket buffer is loss like any other: the transaction sends again.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            NetCounts::add(&shared.counts.send_failed);
            true
        }
        Err(error) => {
            NetCounts::add(&shared.counts.send_failed);
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
fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.len() <= 4
        && datagram
            .iter()
            .all(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// The largest UDP payload.
const DATAGRAM_MAX: usize = 65_535;
