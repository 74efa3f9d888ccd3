//! Redundant audio (RFC 2198): a packet that carries copies of those before it.
//!
//! Headers come first, the newest sound's last and shorter than the others, then the blocks in the
//! same order. Nothing is copied: blocks are borrowed from the packet.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |1|  block PT   |     timestamp offset      |   block length    |    a copy
//! |0|  block PT   |                                                    the newest: the rest
//! ```

use super::RtpTime;

/// A block of a redundant payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it is encoded as.
    pub payload_type: u8,
    /// How much older than the packet's own timestamp it is, in ticks; below 2^14.
    pub offset: u32,
    /// The packets it lies behind the newest, counted: each packet repeats the ones right before it.
    pub back: u16,
    /// What it holds.
    pub payload: &'a [u8],
}

/// Reads a redundant payload: the newest block and its copies of older ones, newest first. `None` if
/// its headers do not end, are more than [`COPIES_MAX`] copies, or promise more than is there.
pub fn parse(payload: &[u8]) -> Option<(Block<'_>, impl Iterator<Item = Block<'_>>)> {
    let mut copies = 0;
    let mut total = 0;
    let mut rest = payload;
    let payload_type = loop {
        match *rest {
            [first, ..] if first & MORE == 0 => break first,
            [_, _, c, d, ref after @ ..] if copies < COPIES_MAX => {
                total += length(c, d);
                copies += 1;
                rest = after;
            }
            _ => return None,
        }
    };
    let (older, newest) = rest.get(1..)?.split_at_checked(total)?;
    let newest = Block {
        payload_type,
        offset: 0,
        back: 0,
        payload: newest,
    };
    let headers = payload.get(..4 * copies)?.as_chunks::<4>().0;
    let mut end = older.len();
    let older = headers
        .iter()
        .rev()
        .zip(1_u16..)
        .map(move |(header, back)| {
            let &[a, b, c, d] = header;
            let start = end.saturating_sub(length(c, d));
            let payload = older.get(start..end).unwrap_or_default();
            end = start;
            Block {
                payload_type: a & !MORE,
                offset: u32::from(b) << 6 | u32::from(c) >> 2,
                back,
                payload,
            }
        });
    Some((newest, older))
}

/// The sending side: each packet repeats the one before it.
///
/// Made by control with a port's plan; on the media thread it never touches the heap.
#[derive(Debug)]
pub struct Redundancy {
    payload_type: u8,
    /// What was sent last, the first `len` bytes, and when it began.
    last: Box<[u8; COPY_MAX]>,
    len: usize,
    time: RtpTime,
}

impl Redundancy {
    /// Of a stream whose redundant packets have `payload_type`.
    pub fn new(payload_type: u8) -> Self {
        Self {
            payload_type,
            last: Box::new([0; COPY_MAX]),
            len: 0,
            time: RtpTime::default(),
        }
    }

    /// The payload type of redundant packets, both ways.
    pub const fn payload_type(&self) -> u8 {
        self.payload_type
    }

    /// Writes a redundant payload that carries `payload`, of type `block_type`, and what was sent before it, if
    /// that fits; gives its length. `None` when there is no room even for `payload`.
    pub fn write(
        &mut self,
        block_type: u8,
        time: RtpTime,
        payload: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let offset = u32::try_from(time.ahead_of(self.time)).ok();
        let copy = self.last.get(..self.len).unwrap_or_default();
        let fits = copy.len() + payload.len() + 5 <= out.len() && copy.len() < 1 << 10;
        let usable = !copy.is_empty() && fits;
        let offset = offset.filter(|offset| usable && (1..1 << 14).contains(offset));
        let (block_type, mut at) = (block_type & !MORE, 0);
        let mut put = |bytes: &[u8]| {
            out.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
            at += bytes.len();
            Some(())
        };
        if let Some(offset) = offset {
            // Of 14 and of 10 bits: both were looked at.
            let word = u32::from(block_type | MORE) << 24 | offset << 10 | copy.len() as u32;
            put(&word.to_be_bytes())?;
        }
        put(&[block_type])?;
        if offset.is_some() {
            put(copy)?;
        }
        put(payload)?;
        self.keep(time, payload);
        Some(at)
    }

    /// What is too long to be repeated is not.
    fn keep(&mut self, time: RtpTime, payload: &[u8]) {
        self.time = time;
        self.len = 0;
        if let Some(place) = self.last.get_mut(..payload.len()) {
            place.copy_from_slice(payload);
            self.len = payload.len();
        }
    }
}

/// The longest payload that is repeated: 40 ms of G.711. Twice as much would not fit a packet.
const COPY_MAX: usize = 320;

fn length(c: u8, d: u8) -> usize {
    usize::from(c & 3) << 8 | usize::from(d)
}

/// The bit that says that another header follows.
const MORE: u8 = 0x80;

/// Copies taken of one packet; what browsers send is one or two.
pub const COPIES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::{Block, Redundancy, RtpTime, parse};

    fn header(payload_type: u8, offset: u16, length: u16) -> [u8; 4] {
        let word =
            u32::from(payload_type | 0x80) << 24 | u32::from(offset) << 10 | u32::from(length);
        word.to_be_bytes()
    }

    // covers: RFC 2198 §3
    #[test]
    fn copies_come_newest_first_and_know_how_far_back_they_are() {
        let two = [
            &header(0, 320, 2)[..],
            &header(0, 160, 3),
            &[0],
            b"aabbbnewest",
        ]
        .concat();
        let (newest, older) = parse(&two).unwrap();
        assert_eq!((newest.payload, newest.payload_type), (&b"newest"[..], 0));
        let block = |offset, back, payload| Block {
            payload_type: 0,
            offset,
            back,
            payload,
        };
        let older: Vec<Block<'_>> = older.collect();
        assert_eq!(
            older,
            [block(160, 1, &b"bbb"[..]), block(320, 2, &b"aa"[..])]
        );
        let (newest, older) = parse(&[8, 1, 2]).unwrap();
        assert_eq!((newest.payload_type, newest.payload), (8, &[1, 2][..]));
        assert_eq!(older.count(), 0);
    }

    // covers: RFC 2198 §3
    #[test]
    fn the_largest_offset_and_length_are_read() {
        let mut packet = header(111, 0x3FFF, 0x3FF).to_vec();
        packet.push(111);
        packet.extend([7; 0x3FF]);
        let (newest, mut older) = parse(&packet).unwrap();
        let copy = older.next().unwrap();
        assert_eq!((copy.offset, copy.payload.len()), (0x3FFF, 0x3FF));
        assert!(newest.payload.is_empty());
    }

    // covers: RFC 2198 §3
    #[test]
    fn each_packet_repeats_the_one_before_it_while_that_is_near_and_short() {
        let mut sender = Redundancy::new(121);
        let mut out = [0; 640];
        let mut sent = |time: u32, payload: &[u8]| {
            let len = sender.write(8, RtpTime(time), payload, &mut out).unwrap();
            let (newest, older) = parse(&out[..len]).unwrap();
            assert_eq!((newest.payload_type, newest.payload), (8, payload));
            older
                .map(|copy| (copy.offset, copy.payload.to_vec()))
                .next()
        };
        assert_eq!(sent(u32::MAX - 100, &[1; 160]), None);
        assert_eq!(sent(59, &[2; 160]), Some((160, vec![1; 160])));
        assert_eq!(sent(219, &[3; 160]), Some((160, vec![2; 160])));
        // A pause of two seconds and more cannot be said in 14 bits.
        assert_eq!(sent(219 + 16_384, &[4; 480]), None);
        assert_eq!(sent(219 + 16_864, &[5; 160]), None);
        assert!(sender.write(8, RtpTime(0), &[0; 640], &mut out).is_none());
    }

    #[test]
    fn what_does_not_end_or_promises_too_much_is_refused() {
        let long = header(0, 160, 4);
        for wrong in [
            &[][..],
            &[0x80],
            &long,
            &[&long[..], &[0, 1, 2, 3]].concat(),
            &[&long.repeat(9)[..], &[0; 60]].concat(),
        ] {
            assert!(parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
