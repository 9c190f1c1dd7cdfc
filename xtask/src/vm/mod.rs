//! `cargo xtask vm`: the tests named `root_*`, in one boot of an old kernel under an emulator.
//!
//! Nothing is installed or changed here: the kernel's package is unpacked below the target folder,
//! and what the tests need goes into a file system in the guest's memory, where everything stands
//! at the path it has here. Root is needed in the guest only.

mod archive;
mod guest;
mod image;
mod kernel;
mod tests;

use std::path::PathBuf;

use crate::cargo::target;
use crate::failure::Failure;
use crate::setup;

use self::kernel::Kernel;

/// Crates whose tests pass on the old kernel too.
const CRATES: [&str; 2] = ["palisade-testkit", "palisade-datapath"];

/// What the command line asks for.
#[derive(Debug, Default, Eq, PartialEq)]
struct Order {
    /// All of [`CRATES`] if empty.
    crates: Vec<String>,
    /// A package of a kernel; by default the newest 6.1 of the archive.
    kernel: Option<PathBuf>,
    /// Words for every test program.
    filters: Vec<String>,
}

pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let order = Order::parse(words)?;
    if std::env::consts::ARCH != "x86_64" {
        return Err(Failure::Stopped(
            "the guest is a machine of x86-64, and so must be this one, whose tests it runs"
                .to_owned(),
        ));
    }
    setup::run(setup::For::Vm)?;
    let tests = tests::build(&order.crates())?;
    let folder = target()?.join("vm");
    let kernel = Kernel::find(&folder, order.kernel.as_deref())?;
    let image = folder.join(format!("image-{}.cpio", std::process::id()));
    let ran = image::write(&image, &kernel, &tests, &order.filters)
        .and_then(|()| guest::boot(&kernel, &image, &tests));
    // One is some 30 MB, and is made anew for every boot.
    drop(std::fs::remove_file(&image));
    ran
}

impl Order {
    fn parse(words: &[&str]) -> Result<Self, Failure> {
        let mut order = Self::default();
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .copied()
                    .ok_or_else(|| Failure::Stopped(format!("{word} wants a value after it")))
            };
            match word {
                "-p" => order.crates.push(value()?.to_owned()),
                "--kernel" => order.kernel = Some(value()?.into()),
                unknown if unknown.starts_with('-') => {
                    return Err(Failure::Stopped(format!("vm has no option {unknown}")));
                }
                filter => order.filters.push(filter.to_owned()),
            }
        }
        Ok(order)
    }

    fn crates(&self) -> Vec<&str> {
        if self.crates.is_empty() {
            CRATES.to_vec()
        } else {
            self.crates.iter().map(String::as_str).collect()
        }
    }
}

#[cfg(test)]
mod order {
    use super::*;

    #[test]
    fn crates_a_kernel_and_filters_are_told_apart() {
        let words = ["-p", "palisade-testkit", "drops", "--kernel", "old.deb"];
        let order = Order::parse(&words).unwrap();
        assert_eq!(order.crates(), ["palisade-testkit"]);
        assert_eq!(order.kernel, Some("old.deb".into()));
        assert_eq!(order.filters, ["drops"]);
        assert_eq!(Order::parse(&[]).unwrap().crates(), CRATES);
        assert!(Order::parse(&["-p"]).is_err());
        assert!(Order::parse(&["--help"]).is_err());
    }
}
