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

fn length(c: u8, d: u8) -> usize {
    usize::from(c & 3) << 8 | usize::from(d)
}

/// The bit that says that another header follows.
const MORE: u8 = 0x80;

/// Copies taken of one packet; what browsers send is one or two.
pub const COPIES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::{Block, parse};

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
