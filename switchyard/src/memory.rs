//! How the system gives memory to this process.

/// Has memory come in pages of 4 KiB, never of 2 MiB (transparent huge pages, which the allocator
/// asks for where it can).
///
/// A huge page is cleared whole at its first touch. That takes 0.2 ms on a machine that has memory of
/// its own, and 10 ms was measured on one that gets it from a hypervisor: for so long a burst that
/// opens connections found nobody who answers, and opened more. What huge pages save in a steady
/// load is less than could be measured. A system that does not know of this has none.
#[cfg(target_os = "linux")]
pub fn in_small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Other systems have no transparent huge pages to refuse.
#[cfg(not(target_os = "linux"))]
pub fn in_small_pages() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_in_small_pages() {
        in_small_pages();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }
}
