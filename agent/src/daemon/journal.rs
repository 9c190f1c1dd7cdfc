//! What became of names, entry by entry, in a file that a restart reads.
//!
//! An answer costs one small write, however much is known. The file is begun anew with what is
//! known now and then; that is written aside on another thread, while the old file is still added
//! to, so that no answer waits for it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

/// The file and how much longer it may get.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// What the file begins with; the rest is the node's.
    head: Vec<u8>,
    file: File,
    length: usize,
    /// At which length it is worth beginning anew.
    enough: usize,
    /// Whether it ends in the middle of an entry; whatever came after that would not be read.
    torn: bool,
    next: Option<Next>,
}

/// Another file that is being written. When it is, what came since is added and it takes the place.
#[derive(Debug)]
struct Next {
    written: JoinHandle<io::Result<File>>,
    length: usize,
    since: Vec<u8>,
}

impl Journal {
    /// Replaces what is at `path` by a head and the beginning of a journal.
    pub(super) fn begin(path: &Path, head: &[u8], start: &[u8]) -> io::Result<Self> {
        let file = write_aside(path, &[head, start])?;
        fs::rename(aside(path), path)?;
        Ok(Self {
            path: path.to_owned(),
            head: head.to_owned(),
            file,
            length: start.len(),
            enough: enough(start.len()),
            torn: false,
            next: None,
        })
    }

    /// What follows the head, if the file begins with it.
    pub(super) fn read(path: &Path, head: &[u8]) -> io::Result<Vec<u8>> {
        let content = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            content => content?,
        };
        Ok(content.strip_prefix(head).unwrap_or_default().to_vec())
    }

    /// Adds entries. After an error nothing more is added until it is begun anew.
    pub(super) fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        if let Some(next) = &mut self.next {
            next.since.extend(entries);
        }
        if self.torn {
            return Ok(());
        }
        self.length += entries.len();
        let written = self.file.write_all(entries);
        self.torn = written.is_err();
        written
    }

    /// Whether everything that was added can be read.
    pub(super) fn is_whole(&self) -> bool {
        !self.torn
    }

    /// Whether [`begin_anew`](Self::begin_anew) is worth its while.
    pub(super) fn is_long(&self) -> bool {
        self.next.is_none() && (self.torn || self.length > self.enough)
    }

    /// Writes another file with what is known now, on a thread of its own.
    pub(super) fn begin_anew(&mut self, start: Vec<u8>) -> io::Result<()> {
        let (path, head, length) = (self.path.clone(), self.head.clone(), start.len());
        let written = thread::Builder::new()
            .name("journal".into())
            .spawn(move || write_aside(&path, &[&head, &start]))?;
        self.next = Some(Next {
            written,
            length,
            since: Vec::new(),
        });
        Ok(())
    }

    /// Takes the other file into use once it is written. Where that fails the old one goes on.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        let written = |next: &mut Next| next.written.is_finished();
        let Some(next) = self.next.take_if(written) else {
            return Ok(());
        };
        // Not before it has grown as much again, should it have been too long for the disk.
        self.enough = enough(self.length);
        let thread_ended = |_| io::Error::other("the thread that wrote it ended");
        let mut file = next.written.join().map_err(thread_ended).flatten()?;
        file.write_all(&next.since)?;
        fs::rename(aside(&self.path), &self.path)?;
        self.file = file;
        self.length = next.length + next.since.len();
        self.enough = enough(next.length);
        self.torn = false;
        Ok(())
    }
}

/// Where the next file stands until it is whole.
pub(super) fn aside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn write_aside(path: &Path, pieces: &[&[u8]]) -> io::Result<File> {
    let mut file = File::create(aside(path))?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    Ok(file)
}

fn enough(start: usize) -> usize {
    (TIMES * start).max(LEAST)
}

/// How many times as long as it began a file may get.
const TIMES: usize = 4;
/// Up to so many bytes nothing is gained.
const LEAST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use palisade_abi::EndpointId;
    use palisade_fqdn::{Answer, Cache, DnsName, Limits, Lookup};
    use palisade_testkit::wait_for;
    use tempfile::{TempDir, tempdir};

    use super::*;

    const HEAD: &[u8] = b"this boot\n";

    struct Lab {
        folder: TempDir,
        cache: Cache,
        journal: Journal,
    }

    impl Lab {
        fn new() -> Self {
            let folder = tempdir().unwrap();
            let mut cache = Cache::new(Limits::default());
            let start = cache.start_journal();
            let path = folder.path().join("names.journal");
            let journal = Journal::begin(&path, HEAD, &start).unwrap();
            Self {
                folder,
                cache,
                journal,
            }
        }

        fn learn(&mut self, name: &str) {
            let answer = Answer {
                endpoint: EndpointId::new(1),
                name: &DnsName::parse(name).unwrap(),
                addresses: &["192.0.2.1".parse().unwrap()],
                ttl: Duration::from_secs(30),
            };
            let _changes = self.cache.update(&answer, Duration::ZERO, &|_, _| false);
            let entries = self.cache.take_journal();
            self.journal.append(&entries).unwrap();
        }

        fn settle(&mut self) {
            wait_for("the other file", Duration::from_secs(20), || {
                self.journal.settle().unwrap();
                self.journal.next.is_none()
            })
            .unwrap();
        }

        /// The names that a restart knows.
        fn restart(&self) -> Vec<String> {
            let path = self.folder.path().join("names.journal");
            let bytes = Journal::read(&path, HEAD).unwrap();
            let replayed = Cache::replay(Limits::default(), &bytes);
            assert_eq!(replayed.cut, None);
            names(replayed.cache.lookups())
        }
    }

    fn names<'a>(lookups: impl Iterator<Item = Lookup<'a>>) -> Vec<String> {
        lookups.map(|lookup| lookup.name.to_string()).collect()
    }

    #[test]
    fn a_restart_knows_what_was_added() {
        let mut lab = Lab::new();
        lab.learn("a.test");
        lab.learn("b.test");
        assert_eq!(lab.restart(), ["a.test", "b.test"]);
    }

    #[test]
    fn another_boots_file_says_nothing() {
        let mut lab = Lab::new();
        lab.learn("a.test");
        let path = lab.folder.path().join("names.journal");
        assert!(Journal::read(&path, b"other boot\n").unwrap().is_empty());
    }

    #[test]
    fn no_entry_is_lost_at_any_point_of_beginning_anew() {
        let mut lab = Lab::new();
        lab.learn("a.test");
        let start = lab.cache.start_journal();
        lab.journal.begin_anew(start).unwrap();
        lab.learn("b.test");
        assert_eq!(lab.restart(), ["a.test", "b.test"]);
        lab.settle();
        assert_eq!(lab.restart(), ["a.test", "b.test"]);
        lab.learn("c.test");
        assert_eq!(lab.restart(), ["a.test", "b.test", "c.test"]);
        assert!(!aside(&lab.journal.path).exists());
    }

    #[test]
    fn a_file_that_has_grown_is_begun_anew() {
        let mut lab = Lab::new();
        assert!(!lab.journal.is_long());
        while !lab.journal.is_long() {
            lab.learn("a.test");
        }
        let before = lab.journal.length;
        let start = lab.cache.start_journal();
        lab.journal.begin_anew(start).unwrap();
        lab.settle();
        assert!(lab.journal.length < before / 1000);
        assert_eq!(lab.restart(), ["a.test"]);
    }

    #[test]
    fn after_a_torn_entry_nothing_is_added_before_it_is_begun_anew() {
        let mut lab = Lab::new();
        lab.learn("a.test");
        // Every write to this device fails as on a full disk.
        lab.journal.file = File::options().write(true).open("/dev/full").unwrap();
        let answer = lab.journal.append(b"entry");
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(lab.journal.append(b"entry").is_ok());
        assert!(lab.journal.is_long() && !lab.journal.is_whole());
        let start = lab.cache.start_journal();
        lab.journal.begin_anew(start).unwrap();
        lab.learn("b.test");
        lab.settle();
        assert!(lab.journal.is_whole());
        assert_eq!(lab.restart(), ["a.test", "b.test"]);
    }
}
