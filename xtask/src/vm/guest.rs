//! One boot: the guest's console goes to ours, and tells how every test ended.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;

use super::kernel::Kernel;
use super::tests::Test;

/// Begins the line that tells how a test ended.
pub(super) const STATUS: &str = "vm-status";
/// The last line.
pub(super) const END: &str = "vm-end";

/// A guest that says nothing for so long hangs; single tests wait for seconds.
const SILENCE: Duration = Duration::from_secs(180);

const EMULATOR: &str = "qemu-system-x86_64";
/// Emulated, not virtualised: the device for that may be there without serving stock kernels.
const MACHINE: &str =
    "-accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nographic -no-reboot -nic none";
const KERNEL_LINE: &str = "console=ttyS0 panic=-1 quiet mitigations=off nokaslr";

/// Boots and runs the tests; fails unless every one says that it passed.
pub(super) fn boot(kernel: &Kernel, image: &Path, tests: &[Test]) -> Result<(), Failure> {
    println!("vm: booting {}", kernel.image.display());
    let start = Instant::now();
    let mut command = Command::new(EMULATOR);
    command
        .args(MACHINE.split(' '))
        .arg("-kernel")
        .arg(&kernel.image);
    command
        .arg("-initrd")
        .arg(image)
        .args(["-append", KERNEL_LINE]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.spawn().map_err(|source| Failure::Start {
        program: EMULATOR.to_owned(),
        source,
    })?;
    let (lines, ended) = follow(Guest(child));
    println!(
        "vm: {:.1} s from switching on to the end",
        start.elapsed().as_secs_f64()
    );
    judge(&lines, tests, ended)
}

/// Stops with its guard, whatever state it is in.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // A guard cannot report; one that has ended is no failure.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Prints the console until it ends or falls silent; whether it ended by itself.
fn follow(mut guest: Guest) -> (Vec<String>, bool) {
    let Some(console) = guest.0.stdout.take() else {
        return (Vec::new(), false);
    };
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = clean(&String::from_utf8_lossy(&line));
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    let mut lines = Vec::new();
    loop {
        match receiver.recv_timeout(SILENCE) {
            Ok(line) => {
                if !line.starts_with(STATUS) && line != END {
                    println!("{line}");
                }
                lines.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => return (lines, true),
            Err(RecvTimeoutError::Timeout) => return (lines, false),
        }
    }
}

/// A console's line without what only moves a cursor.
fn clean(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                // An escape sequence ends with a letter.
                let _ = characters.by_ref().find(char::is_ascii_alphabetic);
            }
            '\r' | '\n' => {}
            other => text.push(other),
        }
    }
    text
}

/// What the lines say about each test.
fn judge(lines: &[String], tests: &[Test], ended: bool) -> Result<(), Failure> {
    let status_of = |test: &Test| {
        let status = |line: &String| {
            let (status, name) = line.strip_prefix(STATUS)?.trim_start().split_once(' ')?;
            (name == test.name).then(|| status.to_owned())
        };
        lines.iter().find_map(status)
    };
    let mut failed = Vec::new();
    for test in tests {
        match status_of(test).as_deref() {
            Some("0") => println!("passed  {}", test.name),
            Some(status) => {
                println!("FAILED  {} (status {status})", test.name);
                failed.push(test.name.clone());
            }
            None => {
                println!("FAILED  {} (never ended)", test.name);
                failed.push(test.name.clone());
            }
        }
    }
    println!(
        "{} passed, {} failed",
        tests.len() - failed.len(),
        failed.len()
    );
    if !failed.is_empty() {
        return Err(Failure::Finding(format!(
            "failed in the guest: {}",
            failed.join(", ")
        )));
    }
    if !ended || lines.iter().all(|line| line != END) {
        return Err(Failure::Finding(
            "the guest did not come to its end".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str) -> Test {
        Test {
            name: name.to_owned(),
            program: "/t".into(),
        }
    }

    fn said(lines: &[&str], ended: bool) -> Result<(), Failure> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        judge(&lines, &[test("a root_x"), test("a root_y")], ended)
    }

    #[test]
    fn only_a_guest_that_ends_with_every_test_passed_has_passed() {
        let (x, y) = ("vm-status 0 a root_x", "vm-status 0 a root_y");
        assert!(said(&[x, "test … ok", y, END], true).is_ok());
        assert!(said(&[x, y, END], false).is_err());
        assert!(said(&[x, y], true).is_err());
        assert!(said(&[x, END], true).is_err());
        assert!(said(&[x, "vm-status 101 a root_y", END], true).is_err());
    }

    #[test]
    fn a_line_is_cleaned_of_the_console() {
        assert_eq!(clean("\u{1b}[2J\u{1b}c\u{1b}[7lhello\r\n"), "hello");
    }
}
