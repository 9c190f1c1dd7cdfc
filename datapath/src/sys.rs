//! The one place that calls the kernel's BPF interface and touches mapped memory.
#![allow(
    unsafe_code,
    reason = "libbpf-rs wraps neither links of tcx nor stores into mapped maps"
)]
#![deny(unsafe_op_in_unsafe_fn)]

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use libbpf_rs::skel::OpenSkel;
use libbpf_rs::{AsRawLibbpf, OpenProgramMut};
use memmap2::{MmapOptions, MmapRaw};

/// Bytes of verifier log kept per program; the kernel fills it from the end of the log.
const LOG_BYTES: usize = 1 << 18;

/// Why the programs were not loaded, with the verifier's log of each program that has one.
pub(crate) struct LoadFailure {
    pub(crate) error: libbpf_rs::Error,
    pub(crate) logs: Vec<(String, String)>,
}

/// Loads the programs; libbpf tries without a log first, so that success costs nothing.
pub(crate) fn load<'o, O: OpenSkel<'o>>(mut open: O) -> Result<O::Output, LoadFailure> {
    let mut logs = Vec::new();
    for mut program in open.open_object_mut().progs_mut() {
        let mut log = vec![0_u8; LOG_BYTES];
        set_log(&mut program, &mut log);
        logs.push((program.name().to_string_lossy().into_owned(), log));
    }
    // The buffers outlive the call; libbpf writes to them in no later one.
    let loaded = open.load();
    loaded.map_err(|error| LoadFailure {
        error,
        logs: logs.into_iter().filter_map(read_log).collect(),
    })
}

fn set_log(program: &mut OpenProgramMut<'_>, buffer: &mut [u8]) {
    let pointer = program.as_libbpf_object().as_ptr();
    // SAFETY: the program is open and not loaded; `load` keeps the buffer until libbpf is done.
    let _: c_int = unsafe {
        libbpf_sys::bpf_program__set_log_buf(
            pointer,
            buffer.as_mut_ptr().cast(),
            buffer.len() as libbpf_sys::size_t,
        )
    };
}

fn read_log((name, buffer): (String, Vec<u8>)) -> Option<(String, String)> {
    let text = CStr::from_bytes_until_nul(&buffer).ok()?;
    (!text.is_empty()).then(|| (name, text.to_string_lossy().into_owned()))
}

/// What a map is made of, as `BPF_MAP_CREATE` takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

pub(crate) fn map_create(
    name: &str,
    shape: &Shape,
    inner: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        map_flags: shape.flags,
        inner_map_fd: inner.map_or(0, |fd| fd.as_raw_fd().cast_unsigned()),
        ..Default::default()
    };
    // SAFETY: the name and the options live for the call.
    let result = unsafe {
        libbpf_sys::bpf_map_create(
            shape.kind,
            name.as_ptr(),
            shape.key_size,
            shape.value_size,
            shape.max_entries,
            &raw const options,
        )
    };
    owned(result)
}

/// Stores a value under a key; the caller has checked both lengths when it opened the map.
pub(crate) fn map_update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    // SAFETY: key and value live for the call and have the sizes that the map was checked for.
    let result = unsafe {
        libbpf_sys::bpf_map_update_elem(
            map.as_raw_fd(),
            key.as_ptr().cast(),
            value.as_ptr().cast(),
            libbpf_sys::BPF_ANY.into(),
        )
    };
    checked(result).map(drop)
}

/// Whether the key was found, and its value then copied.
pub(crate) fn map_lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
    // SAFETY: key and value live for the call and have the sizes that the map was checked for.
    let result = unsafe {
        libbpf_sys::bpf_map_lookup_elem(
            map.as_raw_fd(),
            key.as_ptr().cast(),
            value.as_mut_ptr().cast(),
        )
    };
    found(result)
}

/// Whether the key was there to be deleted.
pub(crate) fn map_delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<bool> {
    // SAFETY: the key lives for the call and has the size that the map was checked for.
    let result = unsafe { libbpf_sys::bpf_map_delete_elem(map.as_raw_fd(), key.as_ptr().cast()) };
    found(result)
}

/// The key after `key`, or the first one.
pub(crate) fn map_next_key(
    map: BorrowedFd<'_>,
    key: Option<&[u8]>,
    next: &mut [u8],
) -> io::Result<bool> {
    let key = key.map_or(ptr::null(), <[u8]>::as_ptr);
    // SAFETY: both keys live for the call and have the size that the map was checked for.
    let result = unsafe {
        libbpf_sys::bpf_map_get_next_key(map.as_raw_fd(), key.cast(), next.as_mut_ptr().cast())
    };
    found(result)
}

pub(crate) fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes a number only.
    owned(unsafe { libbpf_sys::bpf_map_get_fd_by_id(id) })
}

pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path lives for the call.
    let result = unsafe { libbpf_sys::bpf_obj_pin(object.as_raw_fd(), path.as_ptr()) };
    checked(result).map(drop)
}

pub(crate) fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path lives for the call.
    owned(unsafe { libbpf_sys::bpf_obj_get(path.as_ptr()) })
}

/// Attaches a program to a device's tcx hook. Minimum kernel version: 6.6.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    ifindex: u32,
    hook: libbpf_sys::bpf_attach_type,
) -> io::Result<OwnedFd> {
    let options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    // SAFETY: the options live for the call.
    let result = unsafe {
        libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            ifindex.cast_signed(),
            hook,
            &raw const options,
        )
    };
    owned(result)
}

/// Replaces the program of a link atomically: every packet meets the old one or the new one.
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes descriptors and a null pointer, which stands for no options.
    let result =
        unsafe { libbpf_sys::bpf_link_update(link.as_raw_fd(), program.as_raw_fd(), ptr::null()) };
    checked(result).map(drop)
}

/// Whether the kernel knows the tcx hook: no device has index 0, so it answers ENODEV, not EINVAL.
pub(crate) fn has_tcx() -> bool {
    let mut options = libbpf_sys::bpf_prog_query_opts {
        sz: size_of::<libbpf_sys::bpf_prog_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    // SAFETY: the options live for the call.
    let result = unsafe {
        libbpf_sys::bpf_prog_query_opts(0, libbpf_sys::BPF_TCX_INGRESS, &raw mut options)
    };
    checked(result).is_err_and(|error| error.raw_os_error() == Some(nix::libc::ENODEV))
}

/// Whether a program of a hook for packets may call a helper: libbpf loads one that does.
pub(crate) fn has_helper(helper: libbpf_sys::bpf_func_id) -> bool {
    let kind = libbpf_sys::BPF_PROG_TYPE_SCHED_CLS;
    // SAFETY: takes numbers and a null pointer, which stands for no options.
    unsafe { libbpf_sys::libbpf_probe_bpf_helper(kind, helper, ptr::null()) == 1 }
}

/// Whether the kernel has a kind of map: libbpf makes one.
pub(crate) fn has_map(kind: libbpf_sys::bpf_map_type) -> bool {
    // SAFETY: takes a number and a null pointer, which stands for no options.
    unsafe { libbpf_sys::libbpf_probe_bpf_map_type(kind, ptr::null()) == 1 }
}

/// What `BPF_PROG_TEST_RUN` came back with.
pub(crate) struct TestRun {
    pub(crate) result: u32,
    pub(crate) data: Vec<u8>,
    /// Mean time of a run.
    pub(crate) nanoseconds: u32,
}

/// Room for a packet that a program makes longer.
const GROWTH: usize = 256;

pub(crate) fn test_run(
    program: BorrowedFd<'_>,
    packet: &[u8],
    context: &mut [u8],
    repeat: i32,
) -> io::Result<TestRun> {
    let mut data = vec![0; packet.len() + GROWTH];
    let given = context.to_vec();
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: packet.as_ptr().cast(),
        data_size_in: length(packet)?,
        data_out: data.as_mut_ptr().cast(),
        data_size_out: length(&data)?,
        ctx_in: given.as_ptr().cast(),
        ctx_size_in: length(&given)?,
        ctx_out: context.as_mut_ptr().cast::<c_void>(),
        ctx_size_out: length(context)?,
        repeat,
        ..Default::default()
    };
    // SAFETY: every buffer lives for the call and has the length stated beside it.
    let result =
        unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    checked(result)?;
    data.truncate(options.data_size_out as usize);
    Ok(TestRun {
        result: options.retval,
        data,
        nanoseconds: options.duration,
    })
}

fn length(buffer: &[u8]) -> io::Result<u32> {
    u32::try_from(buffer.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(result)
    }
}

fn found(result: c_int) -> io::Result<bool> {
    match checked(result) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn owned(result: c_int) -> io::Result<OwnedFd> {
    let descriptor = checked(result)?;
    // SAFETY: the kernel has just made the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The value of a mapped array of one element: words that programs read while they are stored.
///
/// Every access is one aligned atomic load or store, so that a reader sees a word whole.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: MmapRaw,
}

impl Mapping {
    pub(crate) fn new(map: &impl AsFd, length: usize) -> io::Result<Self> {
        let map = MmapOptions::new()
            .len(length)
            .map_raw(map.as_fd().as_raw_fd())?;
        Ok(Self { map })
    }

    /// The place of element `index`, if all of it lies inside the mapping.
    fn place<T>(&self, index: usize) -> Option<*mut T> {
        let end = index.checked_add(1)?.checked_mul(size_of::<T>())?;
        if end > self.map.len() {
            return None;
        }
        // SAFETY: the element ends inside the mapping, which starts at a page and so is aligned.
        Some(unsafe { self.map.as_mut_ptr().cast::<T>().add(index) })
    }

    pub(crate) fn load_u64(&self, index: usize) -> Option<u64> {
        let place = self.place::<u64>(index)?;
        // SAFETY: the place is valid, aligned, and only ever accessed atomically.
        Some(unsafe { AtomicU64::from_ptr(place) }.load(Ordering::Acquire))
    }

    /// Whether the element lies inside; the store is released after all earlier ones.
    #[must_use]
    pub(crate) fn store_u64(&self, index: usize, value: u64) -> bool {
        let Some(place) = self.place::<u64>(index) else {
            return false;
        };
        // SAFETY: the place is valid, aligned, and only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(place) }.store(value, Ordering::Release);
        true
    }

    pub(crate) fn load_u16(&self, index: usize) -> Option<u16> {
        let place = self.place::<u16>(index)?;
        // SAFETY: the place is valid, aligned, and only ever accessed atomically.
        Some(unsafe { AtomicU16::from_ptr(place) }.load(Ordering::Acquire))
    }

    #[must_use]
    pub(crate) fn store_u16(&self, index: usize, value: u16) -> bool {
        let Some(place) = self.place::<u16>(index) else {
            return false;
        };
        // SAFETY: the place is valid, aligned, and only ever accessed atomically.
        unsafe { AtomicU16::from_ptr(place) }.store(value, Ordering::Release);
        true
    }

    pub(crate) fn load_u32(&self, index: usize) -> Option<u32> {
        let place = self.place::<u32>(index)?;
        // SAFETY: the place is valid, aligned, and only ever accessed atomically.
        Some(unsafe { AtomicU32::from_ptr(place) }.load(Ordering::Acquire))
    }

    #[must_use]
    pub(crate) fn store_u32(&self, index: usize, value: u32) -> bool {
        let Some(place) = self.place::<u32>(index) else {
            return false;
        };
        // SAFETY: the place is valid, aligned, and only ever accessed atomically.
        unsafe { AtomicU32::from_ptr(place) }.store(value, Ordering::Release);
        true
    }
}
