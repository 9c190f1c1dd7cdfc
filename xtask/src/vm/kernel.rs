//! The guest's kernel, from a package of the archive that is unpacked and never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{check, output};
use crate::failure::Failure;

/// Where kernels of the oldest supported line are found; the number counts their releases.
const PACKAGES: (&str, &str) = ("linux-image-6.1.0-", "-cloud-amd64");

/// An unpacked kernel.
pub(super) struct Kernel {
    /// What it boots from.
    pub(super) image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// Unpacks a package into the folder, or the newest one of the archive, unless it is there.
    pub(super) fn find(folder: &Path, package: Option<&Path>) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(Failure::file(folder))?;
        if let Some(package) = package {
            let name = package.file_stem().unwrap_or_default();
            return Self::unpack(package, &folder.join(name));
        }
        let listed = output(Command::new("apt-cache").args(["pkgnames", PACKAGES.0]))?;
        let Some(name) = newest(&listed) else {
            return Err(Failure::Stopped(
                "the package archive has no kernel 6.1 for clouds. With root, `apt-get update` may \
                 find one; elsewhere, name a package: cargo xtask vm --kernel linux-image-….deb"
                    .to_owned(),
            ));
        };
        let unpacked = folder.join(name);
        if unpacked.is_dir() {
            return Self::in_folder(&unpacked);
        }
        println!("vm: downloading {name}");
        let download = folder.join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&download).map_err(Failure::file(&download))?;
        let fetched = fetch(&download, name);
        let kernel = fetched.and_then(|package| Self::unpack(&package, &unpacked));
        drop(fs::remove_dir_all(&download));
        kernel
    }

    fn unpack(package: &Path, folder: &Path) -> Result<Self, Failure> {
        if folder.is_dir() {
            return Self::in_folder(folder);
        }
        let half = folder.with_extension(format!("{}.half", std::process::id()));
        check(Command::new("dpkg").arg("-x").args([package, &half]))?;
        // Only a whole one bears the name; where it is there already, that one serves as well.
        if fs::rename(&half, folder).is_err() {
            drop(fs::remove_dir_all(&half));
        }
        Self::in_folder(folder)
    }

    fn in_folder(folder: &Path) -> Result<Self, Failure> {
        let boot = folder.join("boot");
        let image = files(&boot)?
            .into_iter()
            .find(|path| name_of(path).starts_with("vmlinuz"));
        // A machine whose /lib is a link has packages of the newer form.
        let modules = [folder.join("lib/modules"), folder.join("usr/lib/modules")];
        let modules = modules.into_iter().find(|path| path.is_dir());
        match (image, modules) {
            (Some(image), Some(modules)) => Ok(Self { image, modules }),
            _ => Err(Failure::Finding(format!(
                "{} is not an unpacked kernel with its modules",
                folder.display()
            ))),
        }
    }

    /// The files of modules and of all they depend on, in an order to load them.
    pub(super) fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>, Failure> {
        let mut all = Vec::new();
        let mut built_in = String::new();
        for version in files(&self.modules)? {
            let list = version.join("modules.builtin");
            built_in += &fs::read_to_string(&list).map_err(Failure::file(&list))?;
            collect(&version.join("kernel"), &mut all)?;
        }
        let mut ordered = Vec::new();
        for name in names {
            self.order(name, &all, &built_in, &mut ordered)?;
        }
        Ok(ordered)
    }

    fn order(
        &self,
        name: &str,
        all: &[PathBuf],
        built_in: &str,
        ordered: &mut Vec<PathBuf>,
    ) -> Result<(), Failure> {
        let file = format!("{name}.ko");
        let Some(path) = all.iter().find(|path| same_module(&name_of(path), &file)) else {
            let is_built_in = |line: &str| {
                let (_, last) = line.rsplit_once('/').unwrap_or_default();
                same_module(last, &file)
            };
            if built_in.lines().any(is_built_in) {
                return Ok(());
            }
            return Err(Failure::Finding(format!(
                "{} has no module {name}",
                self.image.display()
            )));
        };
        if ordered.contains(path) {
            return Ok(());
        }
        let content = fs::read(path).map_err(Failure::file(path))?;
        for needed in dependencies(&content) {
            self.order(&needed, all, built_in, ordered)?;
        }
        ordered.push(path.clone());
        Ok(())
    }
}

/// Downloads a package into an empty folder.
fn fetch(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    check(
        Command::new("apt-get")
            // The target folder need not be open to the user whom apt prefers for downloads.
            .args(["-o", "APT::Sandbox::User=root", "-qq", "download", name])
            .current_dir(folder),
    )?;
    files(folder)?
        .into_iter()
        .next()
        .ok_or_else(|| Failure::Finding(format!("`apt-get download {name}` has left no package")))
}

/// The newest package among names, which may be in any order.
fn newest(listed: &str) -> Option<&str> {
    let release = |name: &str| {
        let number = name.strip_prefix(PACKAGES.0)?.strip_suffix(PACKAGES.1)?;
        number.parse::<u32>().ok()
    };
    let names = listed.lines().map(str::trim);
    names
        .filter_map(|name| Some((release(name)?, name)))
        .max()
        .map(|(_, name)| name)
}

/// What a module says that it depends on; the entry stands between zero bytes.
fn dependencies(module: &[u8]) -> Vec<String> {
    let entries = module.split(|byte| *byte == 0);
    entries
        .filter_map(|entry| entry.strip_prefix(b"depends="))
        .flat_map(|list| {
            let list = String::from_utf8_lossy(list).into_owned();
            let names = list.split(',').filter(|name| !name.is_empty());
            names.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// A module's file may be written with dashes where its name has underscores.
fn same_module(one: &str, other: &str) -> bool {
    one.replace('-', "_") == other.replace('-', "_")
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::file(folder))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Every file below a folder.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for path in files(folder)? {
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_is_found_by_its_number() {
        let listed = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-56-cloud-amd64\n\
                      linux-image-6.1.0-57-cloud-amd64-unsigned\nlinux-image-6.1.0-56-amd64\n";
        assert_eq!(newest(listed), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(""), None);
    }

    #[test]
    fn a_module_names_what_it_depends_on() {
        let module = b"\x7fELF\0license=GPL\0depends=udp_tunnel,ip6_udp_tunnel\0name=vxlan\0";
        assert_eq!(dependencies(module), ["udp_tunnel", "ip6_udp_tunnel"]);
        assert_eq!(dependencies(b"\0depends=\0name=veth\0").len(), 0);
        assert!(same_module("sch-ingress.ko", "sch_ingress.ko"));
    }
}
