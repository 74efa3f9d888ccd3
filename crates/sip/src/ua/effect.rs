//! What a failed request in a dialog takes with it: itself, its usage of the dialog, or the dialog (RFC 5057 §5.1).
//!
//! A session of ours has the INVITE's usage, and beside it the subscriptions that REFERs made. A subscription
//! whose NOTIFY is refused is over; the call goes on.

use crate::message::Method;

/// What is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The request alone.
    Request,
    /// The usage that the request belongs to.
    Usage,
    /// The dialog, with all its usages.
    Dialog,
}

/// What a final status does that refuses a request in a dialog.
///
/// Silence (408) is read as the request's own: whether the peer is still there is what the session timer asks.
/// A REFER is refused for its target's sake as often as for the dialog's, so it takes nothing with it.
pub const fn effect_of(method: Method, status: u16) -> Effect {
    match (method, status) {
        (Method::Refer | Method::Options | Method::Message, _) => Effect::Request,
        (_, 404 | 410 | 416 | 482 | 484 | 485 | 502 | 604) => Effect::Dialog,
        (_, 480 | 481) => Effect::Usage,
        (Method::Notify | Method::Subscribe, 403 | 405 | 489) => Effect::Usage,
        _ => Effect::Request,
    }
}

/// Whether the call itself is over.
pub(super) fn ends_session(method: Method, status: u16) -> bool {
    let subscription = matches!(method, Method::Notify | Method::Subscribe);
    match effect_of(method, status) {
        Effect::Dialog => true,
        Effect::Usage => !subscription && status == 481,
        Effect::Request => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Method, effect_of, ends_session};

    // covers: RFC 5057 §5.1
    #[test]
    fn what_a_refusal_in_a_dialog_takes_with_it() {
        use Effect::{Dialog, Request, Usage};
        let table = [
            (Method::Info, 481, Usage, true),
            (Method::Update, 481, Usage, true),
            (Method::Invite, 481, Usage, true),
            (Method::Notify, 481, Usage, false),
            (Method::Subscribe, 481, Usage, false),
            (Method::Notify, 489, Usage, false),
            (Method::Notify, 405, Usage, false),
            (Method::Notify, 403, Usage, false),
            (Method::Notify, 480, Usage, false),
            (Method::Info, 480, Usage, false),
            (Method::Info, 489, Request, false),
            (Method::Info, 405, Request, false),
            (Method::Info, 415, Request, false),
            (Method::Info, 408, Request, false),
            (Method::Info, 500, Request, false),
            (Method::Info, 404, Dialog, true),
            (Method::Notify, 404, Dialog, true),
            (Method::Notify, 410, Dialog, true),
            (Method::Notify, 482, Dialog, true),
            (Method::Notify, 502, Dialog, true),
            (Method::Notify, 503, Request, false),
            (Method::Refer, 484, Request, false),
            (Method::Refer, 404, Request, false),
            (Method::Refer, 481, Request, false),
            (Method::Options, 481, Request, false),
            (Method::Message, 404, Request, false),
        ];
        for (method, status, effect, ends) in table {
            let found = (effect_of(method, status), ends_session(method, status));
            assert_eq!(found, (effect, ends), "{status} to {method:?}");
        }
    }
}
