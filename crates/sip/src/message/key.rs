//! What makes two messages belong to one transaction (RFC 3261 §17.1.3, §17.2.3).

use super::{ErrorKind, Message, Method, Name, ParseError};
use std::fmt;
use std::hash::{Hash, Hasher};

/// The identity of a transaction, borrowed from a message of it.
///
/// An ACK has its INVITE's key. [`fmt::Display`] writes a form that is equal exactly when the keys
/// are, without letters in two cases, so a map may be keyed by text written into a buffer that is
/// used again.
#[derive(Clone, Copy, Debug)]
pub enum TransactionKey<'a> {
    /// A request whose branch identifies it, with who sent it (§17.2.3).
    Server {
        /// The topmost Via's branch.
        branch: &'a str,
        /// The topmost Via's host and port.
        sent_by: &'a str,
        /// The method's text, an ACK's being `INVITE`.
        method: &'a str,
    },
    /// A request from before RFC 3261, without the magic cookie.
    Legacy {
        /// The Request-URI.
        uri: &'a str,
        /// The tag of From.
        from_tag: &'a str,
        /// The Call-ID.
        call_id: &'a str,
        /// The number of CSeq.
        cseq: u32,
        /// The topmost Via, whole.
        via: &'a str,
        /// The method's text, an ACK's being `INVITE`.
        method: &'a str,
    },
    /// A response: our own branch and the method of CSeq (§17.1.3).
    Client {
        /// The topmost Via's branch.
        branch: &'a str,
        /// The method of CSeq.
        method: &'a str,
    },
}

impl Message {
    /// The key of this message's transaction: of ours as a server for a request, as a client for a
    /// response.
    ///
    /// A legacy key leaves out the To tag: the ACK of a refusal carries one and its INVITE does
    /// not, and the rest of the key tells transactions apart.
    ///
    /// # Errors
    /// The topmost Via or CSeq is missing or malformed; a response has no branch.
    pub fn transaction_key(&self) -> Result<TransactionKey<'_>, ParseError> {
        let via = self.via()?;
        let Some(text) = self.method_str() else {
            let Some(branch) = via.branch() else {
                return Err(
                    ParseError::new(ErrorKind::Value(Name::Via), 0, None, "a branch").unanswered(),
                );
            };
            return Ok(TransactionKey::Client {
                branch,
                method: self.cseq()?.method_str,
            });
        };
        let method = if self.method() == Some(Method::Ack) {
            Method::Invite.as_str()
        } else {
            text
        };
        if let Some(branch) = via.unique_branch() {
            return Ok(TransactionKey::Server {
                branch,
                sent_by: via.sent_by,
                method,
            });
        }
        Ok(TransactionKey::Legacy {
            uri: self.request_uri().unwrap_or_default(),
            from_tag: self.from()?.tag().unwrap_or_default(),
            call_id: self.call_id()?,
            cseq: self.cseq()?.number,
            via: self.values(Name::Via).next().unwrap_or_default(),
            method,
        })
    }
}

impl TransactionKey<'_> {
    /// The parts that compare exactly, and the host part that compares without regard to case
    /// (§17.2.3, §19.1.4).
    const fn parts(&self) -> (u8, [&str; 4], &str, u32) {
        match *self {
            Self::Server {
                branch,
                sent_by,
                method,
            } => (0, [branch, method, "", ""], sent_by, 0),
            Self::Legacy {
                uri,
                from_tag,
                call_id,
                cseq,
                via,
                method,
            } => (1, [uri, from_tag, call_id, method], via, cseq),
            Self::Client { branch, method } => (2, [branch, method, "", ""], "", 0),
        }
    }
}

impl PartialEq for TransactionKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (kind, exact, folded, number) = self.parts();
        let (its_kind, its_exact, its_folded, its_number) = other.parts();
        (kind, number, exact) == (its_kind, its_number, its_exact)
            && folded.eq_ignore_ascii_case(its_folded)
    }
}

impl Eq for TransactionKey<'_> {}

impl Hash for TransactionKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (kind, exact, folded, number) = self.parts();
        (kind, number).hash(state);
        let present = exact.iter().filter(|part| !part.is_empty());
        present.for_each(|part| part.hash(state));
        for piece in folded.as_bytes().chunks(64) {
            let mut lower = [0; 64];
            for (to, from) in lower.iter_mut().zip(piece) {
                *to = from.to_ascii_lowercase();
            }
            state.write(lower.get(..piece.len()).unwrap_or_default());
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for TransactionKey<'_> {
    /// Parts joined by a control character that none of them can hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, exact, folded, number) = self.parts();
        write!(f, "{kind}\u{1}{number}")?;
        for part in exact {
            write!(f, "\u{1}{part}")?;
        }
        f.write_str("\u{1}")?;
        folded
            .chars()
            .try_for_each(|c| fmt::Write::write_char(f, c.to_ascii_lowercase()))
    }
}
