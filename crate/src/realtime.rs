//! Asking the system to run the calling thread sooner. Everything here is a wish: what is refused is a warning.

use std::mem;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::Pid;

use crate::mailbox::Trouble;

#[derive(Clone, Copy, Debug, Default)]
pub struct Realtime {
    /// SCHED_FIFO at this priority, 1 to 99.
    pub priority: Option<u8>,
    /// The one CPU to run on.
    pub cpu: Option<u32>,
    /// Keep the whole process in memory.
    pub lock_memory: bool,
}

impl Realtime {
    /// Applies what was asked for to the calling thread, and tells what was refused.
    #[must_use]
    pub fn apply(&self) -> Vec<Trouble> {
        let mut refused = Vec::new();
        let mut attempt = |what: String, needs: &str, result: nix::Result<()>| {
            if let Err(errno) = result {
                refused.push(Trouble {
                    code: format!("{errno:?}"),
                    message: format!("realtime: the system refused {what} ({}); it needs {needs}", errno.desc()),
                });
            }
        };
        if let Some(priority) = self.priority {
            attempt(format!("priority {priority}"), "CAP_SYS_NICE or RLIMIT_RTPRIO", set_fifo(priority));
        }
        if let Some(cpu) = self.cpu {
            attempt(format!("CPU {cpu}"), "a CPU that this process may run on", set_cpu(cpu));
        }
        if self.lock_memory {
            let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
            attempt("to lock memory".into(), "CAP_IPC_LOCK or RLIMIT_MEMLOCK", mlockall(all));
        }
        refused
    }
}

/// How long the calling thread wants to run when it is woken: the least that the system grants.
const SLICE_NS: u64 = 100_000;

/// The nice value of a thread that is not to wait for JavaScript.
const NICE: i32 = -10;

/// Asks for what lets the calling thread run soon after it is woken: short time slices (EEVDF, from Linux 6.12 on), which
/// need no right, and a lower nice value, which needs CAP_SYS_NICE or RLIMIT_NICE. Without, it may wait for whatever thread
/// has its core, JavaScript first of all, until the next tick: four milliseconds with HZ 250. Unlike `Realtime`, nobody asked
/// for it, so a refusal is no news. A policy or a nice value that somebody chose on purpose stays.
pub fn ask_to_run_soon() {
    let size = size_of::<libc::sched_attr>() as u32;
    // SAFETY: all-zero bytes are a valid `sched_attr`, which is made of numbers.
    let mut attributes: libc::sched_attr = unsafe { mem::zeroed() };
    // SAFETY: 0 names the calling thread; `attributes` is writable for `size` bytes and outlives the call.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if read != 0 || attributes.sched_policy != libc::SCHED_OTHER.unsigned_abs() {
        return;
    }
    attributes.sched_runtime = SLICE_NS;
    let nice = if attributes.sched_nice == 0 { NICE } else { attributes.sched_nice };
    if set_attributes(libc::sched_attr { sched_nice: nice, ..attributes }).is_err() {
        // Whether a kernel knows nothing of slices either makes no difference.
        let _ = set_attributes(attributes);
    }
}

fn set_attributes(attributes: libc::sched_attr) -> nix::Result<()> {
    // SAFETY: 0 names the calling thread; `attributes` says its own size and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    Errno::result(result).map(drop)
}

fn set_fifo(priority: u8) -> nix::Result<()> {
    let parameter = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: 0 names the calling thread; `parameter` outlives the call. RESET_ON_FORK keeps the priority from
    // spreading to threads that are started from here.
    let result =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameter) };
    Errno::result(result).map(drop)
}

fn set_cpu(cpu: u32) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu as usize)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}
