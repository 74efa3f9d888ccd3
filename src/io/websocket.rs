//! What every WebSocket of ours keeps to, whatever is spoken on it (RFC 6455): its bounds, and what a peer is told
//! who breaks the protocol.

#[cfg(test)]
pub(crate) mod conformance;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The bounds.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_frame_size(Some(MESSAGE_MAX))
        .max_message_size(Some(MESSAGE_MAX))
}

/// What a peer is told who broke the protocol (§7.4.1); `None` if he is gone.
pub fn breach(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

/// The largest message, in bytes, whole or in fragments.
pub const MESSAGE_MAX: usize = 64 << 10;
/// Held by each connection; most messages fit.
pub const READ_BUFFER: usize = 4 << 10;
/// What is sent is written at once: no more lies here than one message and a pong.
const WRITE_BUFFER_MAX: usize = 256 << 10;
