//! What a REGISTER asks: its contacts, each with its time, and its place in the order of requests.

use clock::Duration;
use sip::message::{Message, NameAddr, Uri};

use super::{RegistrarConfig, Reply};
use crate::trunk::binding::{Device, seconds, thousandths};

/// What a REGISTER asks for one contact.
pub(super) struct Wanted<'a> {
    pub(super) uri: Uri<'a>,
    pub(super) device: Option<Device>,
    pub(super) expires: Duration,
    pub(super) q: u16,
}

impl RegistrarConfig {
    /// The contacts that a request names, each with its time; too short a time is a 423.
    pub(super) fn wanted<'a>(&self, request: &'a Message) -> Result<Vec<Wanted<'a>>, Reply> {
        let header = request.expires().ok().flatten();
        let mut wanted: Vec<Wanted<'a>> = Vec::new();
        for contact in request.contacts() {
            let Ok(contact) = contact else {
                return Err(failed(
                    400,
                    "a Contact that cannot be read, or * beside others",
                ));
            };
            if wanted.len() == CONTACTS_READ_MAX || contact.uri.as_str().len() > CONTACT_MAX {
                return Err(failed(403, "too many or too long contacts"));
            }
            let expires = self.expires(&contact, header)?;
            let q = contact
                .params
                .get("q")
                .and_then(thousandths)
                .unwrap_or(1_000);
            wanted.push(Wanted {
                device: Device::of(request, &contact),
                uri: contact.uri,
                expires,
                q,
            });
        }
        Ok(wanted)
    }

    /// The `expires` parameter, else the header, else our default; zero removes.
    fn expires(&self, contact: &NameAddr<'_>, header: Option<u32>) -> Result<Duration, Reply> {
        let parameter = contact.params.get("expires").and_then(seconds);
        let Some(asked) = parameter.or(header) else {
            return Ok(self.expires_default);
        };
        let asked = Duration::from_secs(asked.into());
        if asked > Duration::ZERO && asked < self.expires_min {
            let least = self.expires_min.as_secs().to_string();
            return Err(Reply {
                status: 423,
                headers: vec![("Min-Expires".to_owned(), least)],
                why: "asked for less than the shortest registration",
            });
        }
        Ok(asked.min(self.expires_max))
    }
}

/// Its Call-ID and the number of its CSeq.
pub(super) fn sequence(request: &Message) -> Result<(&str, u32), Reply> {
    match (request.call_id(), request.cseq()) {
        (Ok(call_id), Ok(cseq)) => Ok((call_id, cseq.number)),
        _ => Err(failed(400, "Call-ID or CSeq cannot be read")),
    }
}

pub(super) const fn failed(status: u16, why: &'static str) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        why,
    }
}

/// Contacts read from one request: more than any endpoint may have.
const CONTACTS_READ_MAX: usize = 64;
/// The longest contact URI that is kept, in bytes.
const CONTACT_MAX: usize = 1_024;
