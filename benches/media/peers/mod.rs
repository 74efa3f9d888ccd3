//! The servers that relay: each is started alone on core 0, told of calls in its own way, and asked
//! for nothing but where the two ends of a call are to send.

use std::net::SocketAddr;

use lab::server::Server;

pub(crate) mod bare;
pub(crate) mod rtpengine;
pub(crate) mod tandem;

/// A server that relays calls between addresses of ours.
pub(crate) trait Peer {
    /// The process that is measured.
    fn server(&self) -> &Server;

    /// Begins call `n` between two ends of ours, given where each listens; where each is to send.
    fn call(&mut self, n: u32, ends: [SocketAddr; 2]) -> Result<[SocketAddr; 2], String>;

    /// Where it receives audio; any port.
    fn address(&self) -> SocketAddr;

    /// Records the calls that begin from now on, if it can.
    fn record(&mut self) {}

    /// Ends all calls.
    fn end(&mut self);
}

/// All of them, in the order in which they take turns.
pub(crate) const ALL: [&str; 3] = ["bare", "tandem", "rtpengine"];

/// rtpengine before its security update, where `benches/media/install unfixed` has put it.
pub(crate) const UNFIXED: &str = "rtpengine-unfixed";

/// Starts a server by its name, for so many calls at most.
///
/// # Errors
/// What is missing on this machine.
pub(crate) fn start(name: &str, calls: u32) -> Result<Box<dyn Peer>, String> {
    match name {
        "bare" => Ok(Box::new(bare::Bare::start(calls))),
        "tandem" => Ok(Box::new(tandem::Tandem::of(calls, tandem::Sort::Relayed))),
        "rtpengine" => Ok(Box::new(rtpengine::Rtpengine::start(rtpengine::DEBIAN)?)),
        UNFIXED => Ok(Box::new(rtpengine::Rtpengine::start(rtpengine::UNFIXED)?)),
        _ => Err(format!("want one of {ALL:?}, have {name}")),
    }
}

/// Where the two ends of call `n` listen.
pub(crate) fn ends(n: u32) -> [SocketAddr; 2] {
    let port = FIRST_PORT + 2 * n as u16;
    [CALLER, CALLEE].map(|ip| SocketAddr::from((ip, port)))
}

/// Who calls and who is called.
pub(crate) const CALLER: [u8; 4] = [127, 0, 10, 1];
pub(crate) const CALLEE: [u8; 4] = [127, 0, 10, 2];
const FIRST_PORT: u16 = 10_000;
