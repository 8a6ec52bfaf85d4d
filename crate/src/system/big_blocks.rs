//! The addon's allocator: large blocks are mappings of their own, everything else is the system's.
//!
//! glibc does so too, from 128 kB on, but only until a program frees such a block: then it takes larger ones from its heaps, whose
//! free room it keeps. With tables that grow as sessions come that was a third of a process's memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

/// A block of this size is a mapping of its own. Smaller ones come and go with every snapshot.
const LEAST: usize = 1 << 20;

/// Mappings begin at pages.
const PAGE: usize = 4_096;

/// The allocator.
#[derive(Clone, Copy, Debug)]
pub struct BigBlocks;

fn is_big(layout: Layout) -> bool {
    layout.size() >= LEAST && layout.align() <= PAGE
}

// SAFETY: a block is given back to where its layout says that it came from; a mapping has the size that was asked for, begins at a
// page, and is zeroed.
unsafe impl GlobalAlloc for BigBlocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_big(layout) {
            map(layout.size())
        } else {
            // SAFETY: the caller's promise is passed on.
            unsafe { System.alloc(layout) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_big(layout) {
            map(layout.size())
        } else {
            // SAFETY: the caller's promise is passed on.
            unsafe { System.alloc_zeroed(layout) }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_big(layout) {
            // SAFETY: the block is a mapping of this size, and nobody uses it any more.
            unsafe { libc::munmap(block.cast(), layout.size()) };
        } else {
            // SAFETY: the caller's promise is passed on.
            unsafe { System.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size fits the alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_big(layout), is_big(new)) {
            // SAFETY: the caller's promise is passed on.
            (false, false) => unsafe { System.realloc(block, layout, size) },
            (true, true) => {
                // SAFETY: the block is a mapping of this size; where it moves the caller uses the address that is returned.
                or_null(unsafe { libc::mremap(block.cast(), layout.size(), size, libc::MREMAP_MAYMOVE) })
            }
            _ => {
                // SAFETY: the new size is not 0 and fits the alignment.
                let moved = unsafe { self.alloc(new) };
                if !moved.is_null() {
                    // SAFETY: both blocks are at least as long as what is copied, and the new one is another.
                    unsafe { ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
                    // SAFETY: the block was ours with this layout, and nobody uses it any more.
                    unsafe { self.dealloc(block, layout) };
                }
                moved
            }
        }
    }
}

fn map(size: usize) -> *mut u8 {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, at an address of the kernel's choice.
    or_null(unsafe { libc::mmap(ptr::null_mut(), size, access, kind, -1, 0) })
}

fn or_null(mapped: *mut libc::c_void) -> *mut u8 {
    if mapped == libc::MAP_FAILED { ptr::null_mut() } else { mapped.cast() }
}

#[cfg(test)]
#[allow(clippy::multiple_unsafe_ops_per_block, reason = "one block and its life in each test")]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_content_while_it_grows_and_shrinks_across_the_limit() {
        let layout = |size: usize| Layout::from_size_align(size, 64).unwrap();
        let content = |index: usize| (index % 251) as u8;
        // SAFETY: each block is used within its size, and given back once with its layout.
        unsafe {
            let mut size = 1_000;
            let mut block = BigBlocks.alloc(layout(size));
            (0..size).for_each(|index| block.add(index).write(content(index)));
            for next in [LEAST - 1, LEAST, 3 * LEAST + 5, LEAST + 1, 900] {
                block = BigBlocks.realloc(block, layout(size), next);
                assert!(!block.is_null() && block.addr().is_multiple_of(64));
                (0..size.min(next)).for_each(|index| assert_eq!(block.add(index).read(), content(index)));
                (size.min(next)..next).for_each(|index| block.add(index).write(content(index)));
                size = next;
            }
            BigBlocks.dealloc(block, layout(size));
        }
    }

    #[test]
    fn a_zeroed_block_is_zeroed_and_one_that_cannot_be_had_is_null() {
        for size in [100, LEAST] {
            let layout = Layout::from_size_align(size, 8).unwrap();
            // SAFETY: the block is used within its size, and given back once.
            unsafe {
                let block = BigBlocks.alloc_zeroed(layout);
                assert!((0..size).all(|index| block.add(index).read() == 0));
                BigBlocks.dealloc(block, layout);
            }
        }
        let huge = Layout::from_size_align(isize::MAX as usize - PAGE, 8).unwrap();
        // SAFETY: nothing is used of what is not there.
        assert!(unsafe { BigBlocks.alloc(huge) }.is_null());
    }
}
