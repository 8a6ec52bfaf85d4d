//! Scheduling of the calling thread: priority and CPU. What the system refuses is a warning, not an error.
//!
//! There is no setting that locks memory. The engine's tables come from the allocator of the process: large ones lie in
//! mappings of their own, which move as they grow, and the kernel may merge a mapping with a neighbour that is V8's, whose
//! heap must not be locked. The memory controller keeps the whole process from being swapped out (`MemoryMin` and
//! `MemorySwapMax` in a unit of systemd).

use std::cell::Cell;
use std::mem;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::Pid;

use crate::system::problem::Problem;

/// What is asked of the scheduler; `None` asks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Realtime {
    /// SCHED_FIFO at this priority, 1 to 99.
    pub priority: Option<u8>,
    /// The one CPU to run on.
    pub cpu: Option<u32>,
}

impl Realtime {
    /// Applies the settings to the calling thread, and returns what the system refused.
    #[must_use]
    pub fn apply(&self) -> Vec<Problem> {
        let mut refused = Vec::new();
        let mut attempt = |what: String, needs: &str, result: nix::Result<()>| {
            if let Err(errno) = result {
                refused.push(Problem {
                    code: "ERR_REALTIME_REFUSED".into(),
                    message: format!(
                        "realtime: the system refused {what} ({errno:?}, {}); it needs {needs}",
                        errno.desc()
                    ),
                });
            }
        };
        if let Some(priority) = self.priority {
            attempt(format!("priority {priority}"), "CAP_SYS_NICE or RLIMIT_RTPRIO", set_fifo(priority));
        }
        if let Some(cpu) = self.cpu {
            attempt(format!("CPU {cpu}"), "a CPU that this process may run on", set_cpu(cpu));
        }
        refused
    }
}

/// How long the calling thread wants to run when it is woken: the least that the system grants.
const SLICE_NS: u64 = 100_000;

/// The nice value of a thread that is to wait for nobody. A core that a thread needs half of is not its own with less: beside six
/// threads of nice 0, one of nice −10 is entitled to 60 % of it, and waits up to 40 ms for having used that; one of −20 to 93 %.
const NICE: i32 = -20;

/// Asks for what lets the calling thread run soon after it is woken: short time slices (EEVDF, from Linux 6.12 on), which
/// need no right, and the least nice value that the system grants: CAP_SYS_NICE grants any, RLIMIT_NICE one up to a limit.
/// Without, it may wait for whatever thread has its core, mostly JavaScript's, until the next tick: four milliseconds with HZ
/// 250. The user has not asked for this, so a refusal is not reported. A policy or a nice value that was set before stays.
pub fn ask_to_run_soon() {
    let mut attributes = empty_attributes();
    // SAFETY: 0 names the calling thread; `attributes` is writable for `attributes.size` bytes and outlives the call.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, attributes.size, 0) };
    if read != 0 || attributes.sched_policy != libc::SCHED_OTHER.unsigned_abs() {
        return;
    }
    attributes.sched_runtime = SLICE_NS;
    let nices = if attributes.sched_nice == 0 { [NICE, least_nice(), 0] } else { [attributes.sched_nice; 3] };
    // Where not even the last is granted, the kernel knows nothing of slices, which makes no difference.
    let _ = nices.iter().find(|nice| set_attributes(libc::sched_attr { sched_nice: **nice, ..attributes }).is_ok());
}

/// The least nice value that a process without CAP_SYS_NICE may have: getrlimit(2).
fn least_nice() -> i32 {
    let granted = getrlimit(Resource::RLIMIT_NICE).map_or(0, |(soft, _)| soft);
    20 - i32::try_from(granted.clamp(20, 40)).unwrap_or(20)
}

fn empty_attributes() -> libc::sched_attr {
    // SAFETY: all-zero bytes are a valid `sched_attr`, which is made of numbers.
    let zeros: libc::sched_attr = unsafe { mem::zeroed() };
    libc::sched_attr { size: size_of::<libc::sched_attr>() as u32, ..zeros }
}

fn set_attributes(attributes: libc::sched_attr) -> nix::Result<()> {
    // SAFETY: 0 names the calling thread; `attributes` says its own size and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    Errno::result(result).map(drop)
}

fn set_fifo(priority: u8) -> nix::Result<()> {
    // musl's sched_setscheduler fails with ENOSYS. RESET_ON_FORK keeps the priority from spreading to threads that are
    // started from here.
    set_attributes(libc::sched_attr {
        sched_policy: libc::SCHED_FIFO.unsigned_abs(),
        sched_flags: u64::from(libc::SCHED_FLAG_RESET_ON_FORK.unsigned_abs()),
        sched_priority: priority.into(),
        ..empty_attributes()
    })
}

thread_local! {
    /// Where the thread might run before it was pinned.
    static ORIGINAL: Cell<Option<CpuSet>> = const { Cell::new(None) };
}

fn set_cpu(cpu: u32) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu as usize)?;
    let original = sched_getaffinity(this_thread())?;
    sched_setaffinity(this_thread(), &set)?;
    ORIGINAL.set(Some(original));
    Ok(())
}

/// Runs something as if the calling thread were not pinned to a CPU: threads begin where the one runs that starts them.
pub fn unpinned<T>(run: impl FnOnce() -> T) -> T {
    let Some(original) = ORIGINAL.get() else { return run() };
    let pinned = sched_getaffinity(this_thread());
    // What the thread was allowed before, and is now, is not refused.
    let _ = sched_setaffinity(this_thread(), &original);
    let result = run();
    let _ = pinned.and_then(|pinned| sched_setaffinity(this_thread(), &pinned));
    result
}

fn this_thread() -> Pid {
    Pid::from_raw(0)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_are_started_unpinned_may_run_where_the_process_may() {
        let before = sched_getaffinity(this_thread()).unwrap();
        let first = (0..CpuSet::count()).find(|cpu| before.is_set(*cpu).unwrap()).unwrap();
        thread::spawn(move || {
            let pinned = Realtime { cpu: u32::try_from(first).ok(), ..Realtime::default() };
            assert_eq!(pinned.apply(), []);
            let affinity = || sched_getaffinity(this_thread()).unwrap();
            let of_started = unpinned(|| thread::spawn(affinity)).join().unwrap();
            assert_eq!(of_started, before);
            let mut only = CpuSet::new();
            only.set(first).unwrap();
            assert_eq!(affinity(), only, "and this one stays where it is");
        })
        .join()
        .unwrap();
    }

    /// `rt_priority` and `policy` of the calling thread (proc(5)).
    fn scheduling() -> (u32, i32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The name, in parentheses, is the second field, and may have spaces.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[40 - 3].parse().unwrap(), fields[41 - 3].parse().unwrap())
    }

    #[test]
    fn a_priority_that_is_granted_puts_the_thread_under_fifo_and_its_children_under_nothing() {
        thread::spawn(|| {
            let refused = Realtime { priority: Some(7), ..Realtime::default() }.apply();
            let expected = if refused.is_empty() { (7, libc::SCHED_FIFO) } else { (0, libc::SCHED_OTHER) };
            assert_eq!(scheduling(), expected, "{refused:?}");
            assert_eq!(thread::spawn(scheduling).join().unwrap(), (0, libc::SCHED_OTHER));
        })
        .join()
        .unwrap();
    }
}
