//! Folders and files of policies, as texts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// The files of a folder by the name that locations carry, with their texts.
pub(crate) type Texts = BTreeMap<Arc<str>, String>;

/// Why a folder or a file of policies cannot be read.
#[derive(Debug, Error)]
#[error("{}: cannot read policies", path.display())]
pub(crate) struct ReadError {
    /// The folder or file.
    path: PathBuf,
    /// Why not.
    source: io::Error,
}

/// Reads a file, or every policy file directly in a folder.
///
/// Locations name a file by its folder and name: `policies/pay.yaml`.
pub(crate) fn read(path: &Path) -> Result<Texts, ReadError> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError { path, source }
    };
    let mut texts = Texts::new();
    if !path.is_dir() {
        let text = fs::read_to_string(path).map_err(wrong(path))?;
        texts.insert(path.display().to_string().into(), text);
        return Ok(texts);
    }
    let folder = path.file_name().unwrap_or(path.as_os_str());
    for entry in fs::read_dir(path).map_err(wrong(path))? {
        let file = entry.map_err(wrong(path))?.path();
        if !is_policy(&file) {
            continue;
        }
        match fs::read_to_string(&file) {
            Ok(text) => {
                let name = Path::new(folder).join(file.file_name().unwrap_or_default());
                texts.insert(name.display().to_string().into(), text);
            }
            // Renamed or removed since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(&file)(error)),
        }
    }
    Ok(texts)
}

/// Whether a file in the folder is meant as a policy; editors' own files are not.
fn is_policy(file: &Path) -> bool {
    let hidden = file
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = file.extension().and_then(|extension| extension.to_str());
    !hidden && file.is_file() && matches!(extension, Some("json" | "yaml" | "yml"))
}
