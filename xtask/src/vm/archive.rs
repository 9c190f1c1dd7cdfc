//! The archive that a kernel unpacks into its memory: `cpio` in its "newc" form.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive being written; entries are what their absolute paths say.
pub(super) struct Archive {
    path: PathBuf,
    file: BufWriter<File>,
    written: BTreeSet<PathBuf>,
}

impl Archive {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(Failure::file(path))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            written: BTreeSet::new(),
        })
    }

    /// An empty folder, below those it lies in.
    pub(super) fn folder(&mut self, path: &Path) -> Result<(), Failure> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        self.folder(parent)?;
        self.entry(path, FOLDER, &[])
    }

    /// A file that may be run. A path that was written before stays as it was.
    pub(super) fn file(&mut self, path: &Path, content: &[u8]) -> Result<(), Failure> {
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        self.entry(path, PROGRAM, content)
    }

    /// A file of this machine, at the same path.
    pub(super) fn copy(&mut self, path: &Path) -> Result<(), Failure> {
        let content = fs::read(path).map_err(Failure::file(path))?;
        self.file(path, &content)
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let end = header("TRAILER!!!", 0, 0, 0);
        let written = self.file.write_all(&end).and_then(|()| self.file.flush());
        written.map_err(Failure::file(&self.path))
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<(), Failure> {
        let name = path.to_string_lossy();
        let name = name.trim_start_matches('/');
        if name.is_empty() || !self.written.insert(path.to_owned()) {
            return Ok(());
        }
        let too_long = |_| Failure::Finding(format!("{name} does not fit into an archive"));
        let length = u32::try_from(content.len()).map_err(too_long)?;
        let number = u32::try_from(self.written.len()).map_err(too_long)?;
        let padding = [0; 3];
        let padding = padding
            .get(..padding_after(content.len()))
            .unwrap_or_default();
        let written = self
            .file
            .write_all(&header(name, number, mode, length))
            .and_then(|()| self.file.write_all(content))
            .and_then(|()| self.file.write_all(padding));
        written.map_err(Failure::file(&self.path))
    }
}

/// An entry's header with its name, padded.
fn header(name: &str, number: u32, mode: u32, length: u32) -> Vec<u8> {
    let name_length = name.len() + 1;
    // In order: inode, mode, owner, group, links, time, length, four device numbers, length of the
    // name, checksum.
    let links = 1;
    let mut bytes = format!(
        "070701{number:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}{length:08x}\
         {:08x}{:08x}{:08x}{:08x}{name_length:08x}{:08x}",
        0, 0, 0, 0, 0, 0, 0, 0
    )
    .into_bytes();
    bytes.extend(name.bytes());
    bytes.push(0);
    bytes.resize(bytes.len() + padding_after(bytes.len()), 0);
    bytes
}

/// Bytes that fill up to a multiple of four.
const fn padding_after(length: usize) -> usize {
    length.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_110_characters_and_the_name_up_to_a_multiple_of_four() {
        let header = header("init", 7, PROGRAM, 0x1234);
        assert_eq!(header.len(), 116);
        assert_eq!(&header[..14], b"07070100000007");
        assert_eq!(&header[14..22], b"000081ed");
        assert_eq!(&header[54..62], b"00001234");
        assert_eq!(&header[94..102], b"00000005");
        assert_eq!(&header[110..], b"init\0\0");
    }

    #[test]
    fn folders_come_before_what_lies_in_them_and_once() {
        let path = std::env::temp_dir().join(format!("xtask-archive-{}", std::process::id()));
        let mut archive = Archive::create(&path).unwrap();
        archive.file(Path::new("/a/b/one"), b"12345").unwrap();
        archive.file(Path::new("/a/two"), b"").unwrap();
        archive.file(Path::new("/a/two"), b"again").unwrap();
        archive.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<&str> = text
            .split("070701")
            .skip(1)
            .map(|entry| entry[104..].split('\0').next().unwrap())
            .collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/two", "TRAILER!!!"]);
    }
}
