//! Account and card numbers at rest: sealed with AES-256-GCM under a key that is not in the database.
//!
//! Nothing here has `Debug` or is serialized; keys and opened numbers are wiped when dropped.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use contracts::ids::{BankAccountId, CardId, TransferId};
use zeroize::{Zeroize, Zeroizing};

/// The bytes of a nonce; random, so that the chance that two of 2^32 numbers share one is 2^-33.
pub const NONCE_BYTES: usize = 12;
/// The version that new records carry; a second key would be version 2.
const VERSION: i64 = 1;

/// An opened or just received account number.
pub struct AccountNumber(Zeroizing<String>);

impl AccountNumber {
    /// Takes over a number; no other copy is made.
    pub fn new(number: String) -> Self {
        Self(Zeroizing::new(number))
    }
    /// The digits.
    pub fn digits(&self) -> &str {
        &self.0
    }
    /// The last four digits, or all where there are fewer.
    pub fn last_four(&self) -> &str {
        &self.0[self.0.len().saturating_sub(4)..]
    }
}

/// An opened or just received card number (PAN).
pub struct CardNumber(Zeroizing<String>);

impl CardNumber {
    /// Takes over a number; no other copy is made.
    pub fn new(number: String) -> Self {
        Self(Zeroizing::new(number))
    }
    /// The digits.
    pub fn digits(&self) -> &str {
        &self.0
    }
    /// The first six digits, which may be shown (PCI DSS 3.4.1); empty where there are fewer.
    pub fn bin(&self) -> &str {
        self.0.get(..6).unwrap_or_default()
    }
    /// The last four digits; empty where there are fewer.
    pub fn last_four(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default()
    }
}

/// A sealed number: nonce, then ciphertext with tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key opens it.
    pub key_version: i64,
    pub bytes: Vec<u8>,
}

/// The key of all numbers, with the keys derived from it. Cards have keys of their own, so that
/// nothing sealed or hashed as one kind can be taken for the other.
pub struct SealingKey {
    cipher: Aes256Gcm,
    fingerprints: Zeroizing<[u8; 32]>,
    card_cipher: Aes256Gcm,
    card_fingerprints: Zeroizing<[u8; 32]>,
    deposit_cipher: Aes256Gcm,
    check: [u8; 32],
}

impl SealingKey {
    /// The key with these 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        let derived = |context: &str| blake3::derive_key(context, key);
        let card_key = Zeroizing::new(derived("switchyard 2026 card numbers"));
        let deposit_key = Zeroizing::new(derived("switchyard 2026 micro-deposits"));
        Self {
            cipher: Aes256Gcm::new(key.into()),
            fingerprints: Zeroizing::new(derived("switchyard 2026 bank account fingerprints")),
            card_cipher: Aes256Gcm::new((&*card_key).into()),
            card_fingerprints: Zeroizing::new(derived("switchyard 2026 card fingerprints")),
            deposit_cipher: Aes256Gcm::new((&*deposit_key).into()),
            check: derived("switchyard 2026 sealing key check"),
        }
    }
    /// Loads the key from a file of 32 bytes, or makes it (mode 0600) where there is no file yet.
    ///
    /// Called by the one process that holds the lock on the directory. Errors say what to do; a
    /// file that others may read, or of another length, is refused.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => Self::load(path, file),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(refused(path, &format!("cannot be opened: {error}"))),
        }
    }
    fn load(path: &Path, mut file: File) -> io::Result<Self> {
        let about = file.metadata()?;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(refused(path, "may be read by others: chmod 600 it"));
        }
        let mut key = Zeroizing::new([0; 32]);
        if about.len() != 32 {
            let what = "is not 32 bytes long: restore it from a backup, without it no account \
                        number can be opened";
            return Err(refused(path, what));
        }
        file.read_exact(&mut *key)?;
        Ok(Self::new(&key))
    }
    fn create(path: &Path) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        runtime::Ids::system(0).secret(&mut *key);
        // Written beside and renamed, so that a crash leaves no half a key under the name.
        let beside = path.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&*key)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        Ok(Self::new(&key))
    }
    /// What a database remembers of its key: tells whether two keys are the same, and nothing else.
    pub fn check(&self) -> &[u8; 32] {
        &self.check
    }
    /// Equal for equal bank accounts; without the key nobody can try numbers against it.
    pub fn fingerprint(&self, routing_number: &str, number: &AccountNumber) -> [u8; 32] {
        let mut text = Zeroizing::new(String::with_capacity(40));
        text.push_str(routing_number);
        text.push('/');
        text.push_str(number.digits());
        *blake3::keyed_hash(&self.fingerprints, text.as_bytes()).as_bytes()
    }
    /// Seals a number for a bank account; the nonce is fresh and random for each.
    pub fn seal(
        &self,
        owner: BankAccountId,
        number: &AccountNumber,
        nonce: [u8; NONCE_BYTES],
    ) -> Sealed {
        sealed(&self.cipher, owner.as_bytes(), number.digits(), nonce)
    }
    /// Opens the number of a bank account; `None` where it was sealed for another, under another
    /// key, or was changed.
    pub fn open(&self, owner: BankAccountId, sealed: &Sealed) -> Option<AccountNumber> {
        opened(&self.cipher, owner.as_bytes(), sealed).map(AccountNumber::new)
    }
    /// Equal for equal cards; without the key nobody can try numbers against it.
    pub fn card_fingerprint(&self, number: &CardNumber) -> [u8; 32] {
        *blake3::keyed_hash(&self.card_fingerprints, number.digits().as_bytes()).as_bytes()
    }
    /// Seals a number for a card; the nonce is fresh and random for each.
    pub fn seal_card(
        &self,
        owner: CardId,
        number: &CardNumber,
        nonce: [u8; NONCE_BYTES],
    ) -> Sealed {
        sealed(&self.card_cipher, owner.as_bytes(), number.digits(), nonce)
    }
    /// Opens the number of a card, as [`SealingKey::open`] does that of a bank account.
    pub fn open_card(&self, owner: CardId, sealed: &Sealed) -> Option<CardNumber> {
        opened(&self.card_cipher, owner.as_bytes(), sealed).map(CardNumber::new)
    }
    /// Seals the cents of a micro-deposit, two digits so that their length says nothing.
    pub fn seal_deposit(&self, of: TransferId, cents: i64, nonce: [u8; NONCE_BYTES]) -> Sealed {
        sealed(&self.deposit_cipher, of.as_bytes(), &format!("{cents:02}"), nonce)
    }
    /// Opens the cents of a micro-deposit, as [`SealingKey::open`] does a number.
    pub fn open_deposit(&self, of: TransferId, sealed: &Sealed) -> Option<i64> {
        opened(&self.deposit_cipher, of.as_bytes(), sealed)?.parse().ok()
    }
}

fn sealed(cipher: &Aes256Gcm, owner: &[u8], digits: &str, nonce: [u8; NONCE_BYTES]) -> Sealed {
    let payload = Payload { msg: digits.as_bytes(), aad: owner };
    let sealed = cipher
        .encrypt(&Nonce::from(nonce), payload)
        .expect("a number is shorter than the cipher's limit");
    let mut bytes = nonce.to_vec();
    bytes.extend_from_slice(&sealed);
    Sealed { key_version: VERSION, bytes }
}

fn opened(cipher: &Aes256Gcm, owner: &[u8], sealed: &Sealed) -> Option<String> {
    let (nonce, bytes) = sealed.bytes.split_first_chunk::<NONCE_BYTES>()?;
    if sealed.key_version != VERSION {
        return None;
    }
    let payload = Payload { msg: bytes, aad: owner };
    let opened = cipher.decrypt(&Nonce::from(*nonce), payload).ok()?;
    match String::from_utf8(opened) {
        Ok(number) => Some(number),
        Err(error) => {
            error.into_bytes().zeroize();
            None
        }
    }
}

fn refused(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{}: the sealing key {what}", path.display()))
}
