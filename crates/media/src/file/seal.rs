//! An encrypted recording: AES-256-GCM, a key of its own, in chunks that open one by one.
//!
//! ```text
//!  header: "TANDEMREC" 1 ‖ id of the wrapping key (8) ‖ nonce (12) ‖ the file's key, wrapped (32 + 16)
//!  chunk:  length (4, the top bit in the last one) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! Each file has a key that was drawn for it and stands in its header, wrapped by a key that stands
//! elsewhere. A chunk's nonce is its number, and its length word is authenticated with it: chunks can
//! neither be exchanged nor left out, and a file that was cut off, which lacks the last one, opens up to its
//! last whole chunk and is told to be cut.

use std::fmt;
use std::io::{self, Read, Write};

use aes_gcm::aead::{AeadInOut, KeyInit, Tag};
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{Aes256Gcm, Nonce};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key that wraps the keys of recordings, or of one alone. Shown by nothing.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

/// Which key a recording wants: the beginning of a hash of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyId(pub [u8; 8]);

/// A text is no key: want 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("want a key of 256 bits as 64 hexadecimal digits (openssl rand -hex 32)")]
pub struct BadKey;

impl Key {
    /// The key of those bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits; blanks around them are left out.
    ///
    /// # Errors
    /// [`BadKey`]. What was found is not shown.
    pub fn from_hex(text: &str) -> Result<Self, BadKey> {
        let digits = text.trim().as_bytes();
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(BadKey);
        };
        let mut key = Self([0; 32]);
        if pairs.len() != key.0.len() {
            return Err(BadKey);
        }
        for (byte, pair) in key.0.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|it| char::from(it).to_digit(16));
            let value = high.zip(low).map(|(high, low)| high << 4 | low);
            *byte = value.and_then(|it| u8::try_from(it).ok()).ok_or(BadKey)?;
        }
        Ok(key)
    }

    /// Its name, which tells nothing of it.
    pub fn id(&self) -> KeyId {
        let mut hash = Sha256::new();
        hash.update(b"tandem recording key");
        hash.update(self.0);
        let mut id = [0; 8];
        for (place, byte) in id.iter_mut().zip(hash.finalize()) {
            *place = byte;
        }
        KeyId(id)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&self.0.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Encrypts one recording.
pub struct Sealer {
    cipher: Aes256Gcm,
    chunks: u64,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} chunks)", self.chunks)
    }
}

impl Sealer {
    /// A recording whose own key, just drawn, is wrapped by `key`; and its header. `nonce` is drawn too:
    /// for one wrapping key, 2³² recordings are as many as GCM should bear.
    ///
    /// # Errors
    /// None in practice: forty bytes are not too many to encrypt.
    pub fn new(key: &Key, own: &Key, nonce: [u8; 12]) -> Result<(Self, [u8; HEADER]), Unsealable> {
        let mut wrapped = own.0;
        let named = key.id();
        let tag = key
            .cipher()
            .encrypt_inout_detached(
                &Nonce::from(nonce),
                &prefix(named),
                wrapped.as_mut_slice().into(),
            )
            .map_err(|_| Unsealable)?;
        let mut header = [0; HEADER];
        let tag: [u8; TAG] = tag.into();
        let parts = prefix(named).into_iter().chain(nonce);
        let parts = parts.chain(wrapped).chain(tag);
        for (place, byte) in header.iter_mut().zip(parts) {
            *place = byte;
        }
        let cipher = own.cipher();
        Ok((Self { cipher, chunks: 0 }, header))
    }

    /// Appends to `out` a chunk that holds `plain`, of [`CHUNK_MAX`] bytes at most.
    ///
    /// # Errors
    /// [`Unsealable`] when `plain` is longer.
    pub fn seal(&mut self, plain: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), Unsealable> {
        let length = u32::try_from(plain.len()).map_err(|_| Unsealable)?;
        if plain.len() > CHUNK_MAX {
            return Err(Unsealable);
        }
        let word = (length | if last { LAST } else { 0 }).to_be_bytes();
        out.extend(word);
        let start = out.len();
        out.extend_from_slice(plain);
        let body = out.get_mut(start..).unwrap_or_default();
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce(self.chunks), &word, body.into())
            .map_err(|_| Unsealable)?;
        self.chunks += 1;
        out.extend(<[u8; TAG]>::from(tag));
        Ok(())
    }
}

/// A chunk is too long to be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a chunk of more than {CHUNK_MAX} bytes is not encrypted")]
pub struct Unsealable;

/// What was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes written.
    pub bytes: u64,
    /// Chunks opened.
    pub chunks: u64,
    /// Whether the last chunk was there; without it the file was cut off.
    pub whole: bool,
}

/// Why nothing was opened, or no more.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is no encrypted recording.
    #[error("no encrypted recording: want a file that begins with TANDEMREC and a version of 1")]
    NoRecording,
    /// The key is another one.
    #[error("the recording wants the key {wanted}, this is {given}")]
    OtherKey {
        /// The key's name in the header.
        wanted: KeyId,
        /// The name of the one at hand.
        given: KeyId,
    },
    /// The key's name fits and the header was changed.
    #[error("the header was changed: its key does not open")]
    Header,
    /// A chunk was changed; what came before it was written.
    #[error("chunk {chunk} was changed: it does not open; {bytes} bytes before it do")]
    Changed {
        /// Which, from zero.
        chunk: u64,
        /// What was opened before.
        bytes: u64,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The name of the key that an encrypted recording wants; `None` if `header` begins none.
pub fn key_of(header: &[u8]) -> Option<KeyId> {
    let header: &[u8; HEADER] = header.first_chunk()?;
    let id = KeyId(*header.get(MAGIC.len()..)?.first_chunk()?);
    header.starts_with(&MAGIC).then_some(id)
}

/// Decrypts `sealed` into `plain`, chunk by chunk, in at most [`CHUNK_MAX`] bytes of memory.
///
/// # Errors
/// [`OpenError`]; whole chunks before a broken one have been written.
pub fn open(
    key: &Key,
    sealed: &mut impl Read,
    plain: &mut impl Write,
) -> Result<Opened, OpenError> {
    let own = own_key(key, sealed)?.cipher();
    let mut opened = Opened {
        bytes: 0,
        chunks: 0,
        whole: false,
    };
    let mut chunk = Vec::new();
    while !opened.whole {
        let mut word = [0; 4];
        if !fill(sealed, &mut word)? {
            break;
        }
        let length = u32::from_be_bytes(word);
        let body = (length & !LAST) as usize;
        let changed = OpenError::Changed {
            chunk: opened.chunks,
            bytes: opened.bytes,
        };
        if body > CHUNK_MAX {
            return Err(changed);
        }
        chunk.resize(body + TAG, 0);
        if !fill(sealed, &mut chunk)? {
            break;
        }
        let Some((body, tag)) = chunk.split_last_chunk_mut::<TAG>() else {
            return Err(changed);
        };
        let tag = Tag::<Aes256Gcm>::from(*tag);
        own.decrypt_inout_detached(&nonce(opened.chunks), &word, (&mut *body).into(), &tag)
            .map_err(|_| changed)?;
        plain.write_all(body)?;
        opened.bytes += body.len() as u64;
        opened.chunks += 1;
        opened.whole = length & LAST != 0;
    }
    Ok(opened)
}

fn own_key(key: &Key, sealed: &mut impl Read) -> Result<Key, OpenError> {
    let mut header = [0; HEADER];
    let found = fill(sealed, &mut header)?
        .then_some(())
        .and(key_of(&header));
    let wanted = found.ok_or(OpenError::NoRecording)?;
    let given = key.id();
    if wanted != given {
        return Err(OpenError::OtherKey { wanted, given });
    }
    let rest = header.get(PREFIX..).unwrap_or_default();
    let parts = rest
        .split_first_chunk::<12>()
        .and_then(|(nonce, rest)| Some((nonce, rest.split_first_chunk::<32>()?)))
        .and_then(|(nonce, (own, tag))| Some((nonce, own, tag.first_chunk::<TAG>()?)));
    let (nonce, wrapped, tag) = parts.ok_or(OpenError::NoRecording)?;
    let mut own = Key(*wrapped);
    key.cipher()
        .decrypt_inout_detached(
            &Nonce::from(*nonce),
            &prefix(wanted),
            own.0.as_mut_slice().into(),
            &Tag::<Aes256Gcm>::from(*tag),
        )
        .map_err(|_| OpenError::Header)?;
    Ok(own)
}

/// Fills `place`; `false` if the source ends before.
fn fill(source: &mut impl Read, place: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(place) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn prefix(key: KeyId) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    for (place, byte) in prefix.iter_mut().zip(MAGIC.into_iter().chain(key.0)) {
        *place = byte;
    }
    prefix
}

fn nonce(chunk: u64) -> Nonce<U12> {
    let mut nonce = [0; 12];
    for (place, byte) in nonce.iter_mut().skip(4).zip(chunk.to_be_bytes()) {
        *place = byte;
    }
    nonce.into()
}

/// Bytes before the first chunk.
pub const HEADER: usize = PREFIX + 12 + 32 + TAG;

/// The most that a chunk holds.
pub const CHUNK_MAX: usize = 1 << 20;

const MAGIC: [u8; 10] = *b"TANDEMREC\x01";
const PREFIX: usize = MAGIC.len() + 8;
const TAG: usize = 16;
const LAST: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::{CHUNK_MAX, HEADER, Key, OpenError, Opened, Sealer, key_of, open};

    fn sealed(key: &Key, chunks: &[&[u8]]) -> Vec<u8> {
        let (mut sealer, header) = Sealer::new(key, &Key([3; 32]), [9; 12]).unwrap();
        let mut file = header.to_vec();
        for (n, chunk) in chunks.iter().enumerate() {
            sealer
                .seal(chunk, n + 1 == chunks.len(), &mut file)
                .unwrap();
        }
        file
    }

    fn opened(key: &Key, file: &[u8]) -> (Result<Opened, OpenError>, Vec<u8>) {
        let mut plain = Vec::new();
        (open(key, &mut &file[..], &mut plain), plain)
    }

    #[test]
    fn it_opens_only_with_its_key_and_shows_nothing_without() {
        let key = Key([7; 32]);
        let file = sealed(&key, &[b"what the caller said", b"and heard"]);
        let (done, plain) = opened(&key, &file);
        assert!(done.unwrap().whole);
        assert_eq!(plain, b"what the caller saidand heard");
        assert_eq!(key_of(&file), Some(key.id()));
        assert!(!file.windows(6).any(|it| it == b"caller"));
        let (done, plain) = opened(&Key([8; 32]), &file);
        assert!(matches!(done, Err(OpenError::OtherKey { .. })) && plain.is_empty());
        // Control: who forges the key's name still has no key.
        let mut forged = file;
        forged[10..18].copy_from_slice(&Key([8; 32]).id().0);
        let (done, plain) = opened(&Key([8; 32]), &forged);
        assert!(matches!(done, Err(OpenError::Header)) && plain.is_empty());
    }

    #[test]
    fn a_file_cut_anywhere_opens_up_to_its_last_whole_chunk_and_is_told_to_be_cut() {
        let key = Key([7; 32]);
        let file = sealed(&key, &[&[1; 100], &[2; 50], &[]]);
        let ends = [HEADER, HEADER + 120, HEADER + 190, HEADER + 210];
        assert_eq!(file.len(), ends[3]);
        for cut in HEADER..=file.len() {
            let (done, plain) = opened(&key, &file[..cut]);
            let chunks = ends.iter().filter(|end| **end <= cut).count() - 1;
            let done = done.unwrap();
            assert_eq!((done.chunks, done.whole), (chunks as u64, chunks == 3));
            assert_eq!(plain.len(), [0, 100, 150, 150][chunks]);
        }
        assert!(matches!(
            opened(&key, &file[..40]).0,
            Err(OpenError::NoRecording)
        ));
    }

    #[test]
    fn a_changed_bit_anywhere_is_found_and_so_are_exchanged_and_missing_chunks() {
        let key = Key([7; 32]);
        let chunks: [&[u8]; 3] = [&[1; 20], &[2; 20], &[3; 20]];
        let file = sealed(&key, &chunks);
        for bit in 0..file.len() * 8 {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let whole = opened(&key, &changed).0.is_ok_and(|done| done.whole);
            assert!(!whole, "bit {bit}");
        }
        let (head, rest) = file.split_at(HEADER);
        let [a, b, c] = [0, 1, 2].map(|n| &rest[40 * n..40 * n + 40]);
        for order in [[b, a, c].concat(), [a, c].concat(), [a, a, c].concat()] {
            let done = opened(&key, &[head, &order].concat()).0;
            assert!(matches!(done, Err(OpenError::Changed { .. })));
        }
    }

    #[test]
    fn keys_are_read_and_never_shown_and_a_chunk_has_a_bound() {
        let key = Key::from_hex(&format!(" {}\n", "0a".repeat(32))).unwrap();
        assert_eq!(
            (&key, format!("{key:?}").as_str()),
            (&Key([10; 32]), "(hidden)")
        );
        for bad in [
            "",
            "0a",
            &"0g".repeat(32),
            &"0a".repeat(33),
            &"é".repeat(32),
        ] {
            assert!(Key::from_hex(bad).is_err(), "{bad}");
        }
        let (mut sealer, _) = Sealer::new(&key, &key, [0; 12]).unwrap();
        let long = vec![0; CHUNK_MAX + 1];
        assert!(sealer.seal(&long, false, &mut Vec::new()).is_err());
    }
}
