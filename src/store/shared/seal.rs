//! What leaves this process for the shared tier is encrypted and bound to its key; what comes back is believed only if
//! whoever wrote it knew the secret and wrote it under that very key. Knows neither Redis nor what the bytes mean.
//!
//! A sealed value is `version ‖ nonce ‖ ciphertext ‖ tag` (AES-256-GCM); the full key is associated data. The name under
//! which it is stored is an HMAC of the full key, so that the store's owner learns no query from it. Each name has an
//! encryption key of its own, so that the count of random nonces which one key may bear is a count for one name, not
//! for the life of the fleet.

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{self, Prk};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;

/// Raised whenever the sealed form or its derivations change: entries of another version are not found.
const VERSION: u8 = 1;
const NAME_PREFIX: &str = "sidecache:1:";
const HEADER_BYTES: usize = 1 + aead::NONCE_LEN;
const TAG_BYTES: usize = 16;

/// How many bytes a sealed value is longer than what is in it.
pub const SEAL_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// Why a value from the shared tier was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BrokenSeal {
    /// Too short to be sealed, or of another version.
    Malformed,
    /// Changed, moved from another key, or sealed with another secret.
    Forged,
}

/// The keys that are derived from the configured secret.
pub struct Sealer {
    secret: Prk,
    names: hmac::Key,
    random: SystemRandom,
}

/// Where a value is kept, and what seals it there.
pub struct Address {
    name: String,
    key: LessSafeKey,
}

impl Address {
    /// The key in Redis.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Sealer {
    /// The sealer of every instance that knows this secret.
    pub fn new(secret: &[u8]) -> Self {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"sidecache shared tier").extract(secret);
        let mut name_key = [0; 32];
        secret
            .expand(&[b"names"], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut name_key))
            .expect("32 bytes are what HKDF-SHA256 gives");
        Sealer { secret, names: hmac::Key::new(hmac::HMAC_SHA256, &name_key), random: SystemRandom::new() }
    }

    /// The address of a full key within a scope. The scope keeps apart what would only overwrite each other in vain.
    pub fn address(&self, scope: u64, key: &[u8]) -> Address {
        let mut digest = hmac::Context::with_key(&self.names);
        digest.update(&scope.to_le_bytes());
        digest.update(key);
        let digest = digest.sign();
        let unbound: UnboundKey = self
            .secret
            .expand(&[b"entry", digest.as_ref()], &aead::AES_256_GCM)
            .map(UnboundKey::from)
            .expect("a cipher's key is shorter than what HKDF can give");
        let mut name = String::with_capacity(NAME_PREFIX.len() + 64);
        name.push_str(NAME_PREFIX);
        for byte in digest.as_ref() {
            for nibble in [byte >> 4, byte & 15] {
                name.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is a digit"));
            }
        }
        Address { name, key: LessSafeKey::new(unbound) }
    }

    /// Encrypts and binds to the key. `None` if the system gives no randomness.
    pub fn seal(&self, address: &Address, key: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; aead::NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(plain.len() + SEAL_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = address
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                associated(key),
                &mut sealed[HEADER_BYTES..],
            )
            .ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// What is in a sealed value, if it was sealed with this secret under this key.
    pub fn open<'a>(&self, address: &Address, key: &[u8], sealed: &'a mut [u8]) -> Result<&'a [u8], BrokenSeal> {
        let (header, body) = sealed.split_at_mut_checked(HEADER_BYTES).ok_or(BrokenSeal::Malformed)?;
        let (version, nonce) = header.split_first().ok_or(BrokenSeal::Malformed)?;
        if *version != VERSION || body.len() < TAG_BYTES {
            return Err(BrokenSeal::Malformed);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| BrokenSeal::Malformed)?;
        let plain = address.key.open_in_place(nonce, associated(key), body).map_err(|_| BrokenSeal::Forged)?;
        Ok(plain)
    }
}

/// The version and the full key: a value moved elsewhere or read by another version is not what was sealed.
fn associated(key: &[u8]) -> Aad<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1 + key.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(key);
    Aad::from(bytes)
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(sealer: &Sealer, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, BrokenSeal> {
        let mut copy = sealed.to_vec();
        sealer.open(&sealer.address(7, key), key, &mut copy).map(<[u8]>::to_vec)
    }

    fn seal(sealer: &Sealer, key: &[u8], plain: &[u8]) -> Vec<u8> {
        sealer.seal(&sealer.address(7, key), key, plain).expect("the system gives randomness")
    }

    #[test]
    fn what_was_sealed_opens() {
        let sealer = Sealer::new(b"secret");
        for plain in [&b""[..], b"x", &[7; 100_000]] {
            let sealed = seal(&sealer, b"key", plain);
            assert_eq!(sealed.len(), plain.len() + SEAL_BYTES);
            assert_eq!(open(&sealer, b"key", &sealed).as_deref(), Ok(plain));
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let sealer = Sealer::new(b"secret");
        let sealed = seal(&sealer, b"key", b"rows of somebody");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut broken = sealed.clone();
                broken[at] ^= 1 << bit;
                assert!(open(&sealer, b"key", &broken).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn every_truncation_and_every_addition_is_seen() {
        let sealer = Sealer::new(b"secret");
        let mut sealed = seal(&sealer, b"key", b"rows of somebody");
        for length in 0..sealed.len() {
            assert!(open(&sealer, b"key", &sealed[..length]).is_err(), "{length}");
        }
        sealed.push(0);
        assert_eq!(open(&sealer, b"key", &sealed), Err(BrokenSeal::Forged));
    }

    #[test]
    fn another_key_or_secret_does_not_open() {
        let sealer = Sealer::new(b"secret");
        let sealed = seal(&sealer, b"key of alice", b"rows of alice");
        assert_eq!(open(&sealer, b"key of bob", &sealed), Err(BrokenSeal::Forged));
        assert_eq!(open(&Sealer::new(b"Secret"), b"key of alice", &sealed), Err(BrokenSeal::Forged));
        // Even where the address is right, the full key is compared.
        let address = sealer.address(7, b"key of alice");
        assert_eq!(sealer.open(&address, b"key of bob", &mut sealed.clone()), Err(BrokenSeal::Forged));
    }

    #[test]
    fn names_tell_nothing_and_differ_by_key_scope_and_secret() {
        let sealer = Sealer::new(b"secret");
        let name = |sealer: &Sealer, scope, key: &[u8]| sealer.address(scope, key).name().to_owned();
        let one = name(&sealer, 1, b"select 1");
        assert_eq!(one, name(&Sealer::new(b"secret"), 1, b"select 1"));
        assert_eq!(one.len(), NAME_PREFIX.len() + 64);
        assert!(!one.contains("select"));
        let others = [
            name(&sealer, 1, b"select 2"),
            name(&sealer, 2, b"select 1"),
            name(&Sealer::new(b"other"), 1, b"select 1"),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn the_same_bytes_are_never_sealed_alike() {
        let sealer = Sealer::new(b"secret");
        assert_ne!(seal(&sealer, b"key", b"plain"), seal(&sealer, b"key", b"plain"));
    }
}
