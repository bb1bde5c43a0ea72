//! `decrypt FILE`: what `sops decrypt` prints.

use std::io::Read as _;
use std::path::Path;
use std::str::FromStr as _;

use super::arguments::Decrypt;
use super::report::Failure;
use crate::config::Variables;
use crate::keyring;
use crate::secret::Plaintext;
use crate::sops::{self, ExtractPath, Format};

/// The most bytes that are read: a file this large is no values file.
const MAX_FILE: u64 = 256 * 1024 * 1024;

pub(super) async fn run(arguments: Decrypt, variables: &Variables) -> Result<Plaintext, Failure> {
    let Decrypt { file, input_type, output_type, extract, indent } = arguments;
    let by_name = Format::of_file_name(&file.to_string_lossy());
    // An unknown word falls back to the name, as in sops (`cmd/sops/common`, 3.13).
    let format = |word: Option<String>| word.and_then(|word| Format::from_str(&word).ok()).unwrap_or(by_name);
    let (input_format, output_format) = (format(input_type), format(output_type));
    let extract = extract.map(|path| ExtractPath::from_str(&path)).transpose().map_err(Failure::ExtractPath)?;

    let bytes = read(&file, MAX_FILE)?;
    let failure = |cause| Failure::Decrypt { file: file.clone(), cause };
    let encrypted = sops::File::parse(input_format, &bytes).map_err(failure)?;
    let keyring = keyring::load(variables.places()?);
    let unlocked =
        keyring.unlock(encrypted.metadata()).await.map_err(|cause| Failure::Unlock { file: file.clone(), cause })?;
    let decrypted = encrypted.decrypt(unlocked.data_key).map_err(failure)?;
    let indent = indent.map(usize::from);
    let plaintext = match extract {
        Some(path) => decrypted.extract(&path, output_format, indent),
        None => decrypted.emit(output_format, indent),
    };
    plaintext.map_err(failure)
}

/// Reads a file of the command line; `-` is stdin.
pub(super) fn read(file: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let outcome = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| {
            bytes.reserve(open.metadata().map_or(0, |about| usize::try_from(about.len().min(limit)).unwrap_or(0) + 1));
            open.take(limit + 1).read_to_end(&mut bytes)
        })
    };
    outcome.map_err(|cause| Failure::Read { file: file.to_owned(), cause })?;
    if bytes.len() as u64 > limit {
        return Err(Failure::TooLarge { file: file.to_owned(), limit });
    }
    Ok(bytes)
}
