//! Asking the system to run the calling thread sooner. Everything here is a wish: what is refused is a warning.

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
