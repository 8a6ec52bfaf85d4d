//! BPF programs and maps (linux/bpf.h), as far as a filter of a socket needs them. No library does just this: those that there
//! are load object files, which a compiler for BPF has made.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use crate::system::socket_option::set_option;

/// An instruction (RFC 9669 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// A register. R0 is what a call or the program returns, R1 to R5 are what a call is given and does not keep, R6 to R9 stay,
/// R10 is the end of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Register(pub(crate) u8);

/// How wide a value in memory is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Width {
    Byte = 0x10,
    Word = 0x00,
    Double = 0x18,
}

/// A condition of a jump; numbers have no sign.
#[derive(Clone, Copy, Debug)]
pub(crate) enum If {
    Equal = 0x10,
    NotEqual = 0x50,
    Less = 0xA0,
    AtMost = 0xB0,
}

/// A place of a program that jumps lead to, further on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// A program that is being written.
#[derive(Debug, Default)]
pub(crate) struct Program {
    instructions: Vec<Instruction>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Program {
    fn put(&mut self, code: u8, to: Register, from: Register, offset: i16, immediate: i32) {
        self.instructions.push(Instruction { code, registers: from.0 << 4 | to.0, offset, immediate });
    }

    /// `to = from`.
    pub(crate) fn copy(&mut self, to: Register, from: Register) {
        self.put(0xBF, to, from, 0, 0);
    }

    /// `to = value`.
    pub(crate) fn set(&mut self, to: Register, value: i32) {
        self.put(0xB7, to, Register(0), 0, value);
    }

    /// `to += value`.
    pub(crate) fn add(&mut self, to: Register, value: i32) {
        self.put(0x07, to, Register(0), 0, value);
    }

    /// `to -= from`.
    pub(crate) fn subtract(&mut self, to: Register, from: Register) {
        self.put(0x1F, to, from, 0, 0);
    }

    /// `to &= value`.
    pub(crate) fn mask(&mut self, to: Register, value: i32) {
        self.put(0x57, to, Register(0), 0, value);
    }

    /// `to = *(base + offset)`.
    pub(crate) fn load(&mut self, width: Width, to: Register, base: Register, offset: i16) {
        self.put(0x61 | width as u8, to, base, offset, 0);
    }

    /// `*(base + offset) = from`.
    pub(crate) fn store(&mut self, width: Width, base: Register, offset: i16, from: Register) {
        self.put(0x63 | width as u8, base, from, offset, 0);
    }

    /// `*(base + offset) += from`, of 64 bits, as one operation.
    pub(crate) fn add_in_memory(&mut self, base: Register, offset: i16, from: Register) {
        self.put(0xDB, base, from, offset, 0);
    }

    /// `to = map`.
    pub(crate) fn load_map(&mut self, to: Register, map: &impl AsRawFd) {
        const MAP_FD: Register = Register(1);
        self.put(0x18, to, MAP_FD, 0, map.as_raw_fd());
        self.put(0, Register(0), Register(0), 0, 0);
    }

    /// Calls a function of the kernel.
    pub(crate) fn call(&mut self, function: i32) {
        self.put(0x85, Register(0), Register(0), 0, function);
    }

    /// Ends with what R0 has.
    pub(crate) fn exit(&mut self) {
        self.put(0x95, Register(0), Register(0), 0, 0);
    }

    /// A label, which is put somewhere further on.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label is here.
    pub(crate) fn here(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    /// Goes to the label.
    pub(crate) fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.put(0x05, Register(0), Register(0), 0, 0);
    }

    /// Goes to the label if the registers compare so.
    pub(crate) fn jump_if(&mut self, condition: If, left: Register, right: Register, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.put(0x0D | condition as u8, left, right, 0, 0);
    }

    /// Goes to the label if the register and the number compare so.
    pub(crate) fn jump_if_value(&mut self, condition: If, left: Register, right: i32, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.put(0x05 | condition as u8, left, Register(0), 0, right);
    }

    /// The instructions, with the distances of their jumps.
    ///
    /// # Panics
    /// If a label is nowhere, or further away than a jump reaches.
    fn finished(mut self) -> Vec<Instruction> {
        for (at, label) in self.jumps {
            let target = self.labels[label.0].expect("every label is put somewhere");
            self.instructions[at].offset = i16::try_from(target - at - 1).expect("programs are short");
        }
        self.instructions
    }

    /// Has the kernel check the program and make it ready for a socket.
    ///
    /// # Errors
    /// What the system says: `EPERM` without CAP_BPF, `EACCES` where a program could do harm, `EINVAL` where the kernel knows less.
    pub(crate) fn load_for_socket(self) -> io::Result<OwnedFd> {
        const SOCKET_FILTER: u32 = 1;
        let instructions = self.finished();
        let request = LoadProgram {
            kind: SOCKET_FILTER,
            count: u32::try_from(instructions.len()).expect("programs are short"),
            instructions: instructions.as_ptr() as u64,
            license: c"Apache-2.0".as_ptr() as u64,
        };
        call(Command::LoadProgram, &request)
    }
}

/// Creates an array of values that the process can map. It reads as zeros.
///
/// # Errors
/// What the system says: `EPERM` without CAP_BPF, `EINVAL` before Linux 5.5, `ENOMEM`, `E2BIG`.
pub(crate) fn create_array(value_len: usize, count: usize) -> io::Result<OwnedFd> {
    const ARRAY: u32 = 2;
    const MAPPABLE: u32 = 1 << 10;
    let narrow = |number: usize| u32::try_from(number).map_err(|_| io::Error::from(Errno::E2BIG));
    let request = CreateMap {
        kind: ARRAY,
        key_len: size_of::<u32>() as u32,
        value_len: narrow(value_len)?,
        count: narrow(count)?,
        flags: MAPPABLE,
    };
    call(Command::CreateMap, &request)
}

/// Has the kernel ask a program which packets to hand over, in place of an earlier one.
///
/// # Errors
/// What the system says.
pub(crate) fn attach(socket: &impl AsFd, program: &OwnedFd) -> nix::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_BPF, program.as_raw_fd())
}

#[derive(Clone, Copy)]
enum Command {
    CreateMap = 0,
    LoadProgram = 5,
}

/// The beginning of `bpf_attr`: what is left out is zero.
#[repr(C)]
struct CreateMap {
    kind: u32,
    key_len: u32,
    value_len: u32,
    count: u32,
    flags: u32,
}

/// As `CreateMap`. Addresses are 64 bits wide on every machine.
#[repr(C)]
struct LoadProgram {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
}

/// `T` is the request that belongs to the command.
fn call<T>(command: Command, request: &T) -> io::Result<OwnedFd> {
    // SAFETY: the request and what it points to are readable, and outlive the call, which keeps nothing of them and writes nothing.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as i32, std::ptr::from_ref(request), size_of::<T>()) };
    let fd = Errno::result(result)?;
    // SAFETY: both commands give a new descriptor, which nobody else owns.
    let owned = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    Ok(owned)
}
