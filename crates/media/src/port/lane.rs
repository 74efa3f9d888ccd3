//! The two ways of a port to its peer.

/// Which of a port's two sockets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// RTP, and RTCP when multiplexed.
    Rtp,
    /// RTCP.
    Rtcp,
}
