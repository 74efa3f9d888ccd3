//! Where everything in a message is: 16-bit offsets, as no message exceeds 65,535 bytes.

use super::{Method, Name};
use std::borrow::Cow;

/// Headers the index holds without a second allocation; more are rare and spill.
const INLINE: usize = 32;

/// What the first line said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Request {
        method: Method,
        method_end: u16,
        uri_end: u16,
    },
    Response {
        status: u16,
        reason_start: u16,
        reason_end: u16,
        reason_latin1: Option<Box<str>>,
    },
}

/// One header line: its name, its whole extent with folds and line end, and its value without
/// blanks around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) line: u16,
    pub(crate) name_length: u16,
    pub(crate) value: u16,
    pub(crate) value_end: u16,
    pub(crate) next: u16,
    /// One more than the place of the readable text in `Index::side`, 0 if the bytes are readable
    /// as they stand.
    side: u16,
}

impl Entry {
    const EMPTY: Self = Self {
        name: Name::Other,
        line: 0,
        name_length: 0,
        value: 0,
        value_end: 0,
        next: 0,
        side: 0,
    };

    #[inline(always)]
    pub(crate) fn new(
        name: Name,
        line: usize,
        name_length: usize,
        value: (usize, usize),
        next: usize,
    ) -> Self {
        let narrow = |offset| u16::try_from(offset).unwrap_or(u16::MAX);
        Self {
            name,
            line: narrow(line),
            name_length: narrow(name_length),
            value: narrow(value.0),
            value_end: narrow(value.1),
            next: narrow(next),
            side: 0,
        }
    }
}

/// The index of one message: one allocation with its `Arc`, unless headers are many, folded or not
/// UTF-8.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) start: Start,
    pub(crate) content_length: Option<usize>,
    /// Where the body begins.
    pub(crate) body: usize,
    /// Whether the whole message is known to be ASCII, which one look at a small one settles for
    /// every value.
    pub(crate) is_ascii: bool,
    inline: [Entry; INLINE],
    length: usize,
    spill: Vec<Entry>,
    /// Values that are not readable as they stand: unfolded, and Latin-1 turned to UTF-8.
    side: Vec<Box<str>>,
}

impl Index {
    /// An index of nothing yet: filled where it will stay, as it is too large to be moved for free.
    pub(crate) const fn empty() -> Self {
        Self {
            start: Start::Request {
                method: Method::Other,
                method_end: 0,
                uri_end: 0,
            },
            content_length: None,
            body: 0,
            is_ascii: false,
            inline: [Entry::EMPTY; INLINE],
            length: 0,
            spill: Vec::new(),
            side: Vec::new(),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    /// Adds a header whose raw value is `value`. Inlined and written field by field: an entry read
    /// back whole just after its parts were stored stalls the processor, once a header.
    #[inline(always)]
    pub(crate) fn add(&mut self, entry: Entry, value: &[u8], is_folded: bool) {
        let is_text = self.is_ascii || value.is_ascii() || str::from_utf8(value).is_ok();
        let side = if is_folded || !is_text {
            self.aside(value)
        } else {
            0
        };
        let length = self.length;
        self.length += 1;
        let Some(slot) = self.inline.get_mut(length) else {
            return self.spill.push(Entry { side, ..entry });
        };
        slot.name = entry.name;
        slot.line = entry.line;
        slot.name_length = entry.name_length;
        slot.value = entry.value;
        slot.value_end = entry.value_end;
        slot.next = entry.next;
        slot.side = side;
    }

    /// Keeps a readable copy of a value; returns what its entry remembers.
    #[cold]
    fn aside(&mut self, value: &[u8]) -> u16 {
        self.side.push(readable(value).into());
        u16::try_from(self.side.len()).unwrap_or(0)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.inline.iter().take(self.length).chain(&self.spill)
    }

    /// The value as text.
    pub(crate) fn value<'a>(&'a self, entry: &Entry, bytes: &'a [u8]) -> &'a str {
        match usize::from(entry.side).checked_sub(1) {
            Some(place) => self.side.get(place).map_or("", AsRef::as_ref),
            None => {
                let range = usize::from(entry.value)..usize::from(entry.value_end);
                str::from_utf8(bytes.get(range).unwrap_or_default()).unwrap_or_default()
            }
        }
    }
}

/// Text of the same length where it can be: line ends become blanks, and what is no UTF-8 is read
/// as Latin-1.
pub(crate) fn readable(raw: &[u8]) -> Cow<'_, str> {
    let unfold = |c: char| if matches!(c, '\r' | '\n') { ' ' } else { c };
    match str::from_utf8(raw) {
        Ok(text) if memchr::memchr2(b'\r', b'\n', raw).is_none() => Cow::Borrowed(text),
        Ok(text) => text.chars().map(unfold).collect(),
        Err(_) => raw.iter().map(|&b| unfold(char::from(b))).collect(),
    }
}
