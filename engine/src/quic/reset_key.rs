//! The key of stateless resets (RFC 9000 §10.3), kept on disk: packets for connections of an earlier life of this engine are
//! answered with a token that only this key can make, so that peers notice a restart at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

const KEY_BYTES: usize = 64;
const FILE: &str = "reset.key";

pub struct ResetKey {
    bytes: [u8; KEY_BYTES],
}

impl ResetKey {
    /// Reads the key of `directory`, or makes one the first time.
    pub fn load(directory: &Path) -> io::Result<ResetKey> {
        match File::open(directory.join(FILE)) {
            Ok(mut file) => {
                let mut bytes = [0; KEY_BYTES];
                file.read_exact(&mut bytes)?;
                Ok(ResetKey { bytes })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => ResetKey::create(directory),
            Err(error) => Err(error),
        }
    }

    /// Writes the key whole or not at all: to another name first, then renamed.
    fn create(directory: &Path) -> io::Result<ResetKey> {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| io::Error::other("no randomness"))?;
        let temporary = directory.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(FILE))?;
        File::open(directory)?.sync_all()?;
        Ok(ResetKey { bytes })
    }

    #[cfg(test)]
    pub(super) fn for_test(fill: u8) -> ResetKey {
        ResetKey {
            bytes: [fill; KEY_BYTES],
        }
    }

    pub(super) fn tokens(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.bytes)
    }

    /// Key of the quick check whether a connection id may be ours, which must survive a restart as well.
    pub(super) fn connection_ids(&self) -> u64 {
        let tag = hmac::sign(&self.tokens(), b"saf connection ids");
        tag.as_ref()
            .iter()
            .take(8)
            .fold(0, |key, byte| key << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_found_again() {
        let directory = std::env::temp_dir().join(format!("saf-reset-key-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("directory");
        let made = ResetKey::load(&directory).expect("made");
        let found = ResetKey::load(&directory).expect("found");
        assert_eq!(made.bytes, found.bytes);
        assert_ne!(made.bytes, [0; KEY_BYTES]);
        fs::write(directory.join(FILE), b"short").expect("write");
        assert!(ResetKey::load(&directory).is_err());
        fs::remove_dir_all(&directory).expect("cleanup");
    }
}
