//! Reports, with a backtrace, any call for time, entropy or threads that is made while a task is polled.
//!
//! With the cargo feature `tripwire` this crate defines the C library's functions of those names, and the
//! linker prefers them to the library's own in any program that this crate is linked into. They do what
//! the originals do, and first look whether a task is being polled on this thread. Without the feature
//! nothing is defined and [`Armed`] is empty, so a program that contains the simulator but runs for real
//! pays nothing: the feature is for test programs alone.
//!
//! What it cannot see: a hash map seeded on this thread before the first poll, and calls that bypass the
//! C library. `meta` finds those, by running twice.

#[cfg(feature = "tripwire")]
mod wired {
    use std::backtrace::Backtrace;
    use std::cell::{Cell, RefCell};

    thread_local! {
        static POLLING: Cell<bool> = const { Cell::new(false) };
        static TRIPPED: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    /// While it lives, the wire is armed on this thread.
    pub struct Armed(bool);

    impl Armed {
        /// Arms the wire.
        #[must_use]
        pub fn new() -> Armed {
            Armed(POLLING.replace(true))
        }
    }

    impl Drop for Armed {
        fn drop(&mut self) {
            POLLING.set(self.0);
        }
    }

    /// What tripped the wire first since the last call, and where.
    #[must_use]
    pub fn take() -> Option<String> {
        TRIPPED.with(|tripped| match tripped.try_borrow_mut() {
            Ok(mut tripped) => tripped.take(),
            Err(_) => None,
        })
    }

    #[inline]
    pub(super) fn touch(call: &'static str) {
        // A thread that is being taken down has no cells any more, and polls nothing.
        if POLLING.try_with(Cell::get).unwrap_or(false) {
            trip(call);
        }
    }

    #[cold]
    fn trip(call: &'static str) {
        // The panic machinery takes the time and reads the environment as it likes.
        if std::thread::panicking() {
            return;
        }
        POLLING.set(false);
        let report = format!("{call}\n{}", Backtrace::force_capture());
        TRIPPED.with(|tripped| {
            if let Ok(mut tripped) = tripped.try_borrow_mut() {
                tripped.get_or_insert(report);
            }
        });
        POLLING.set(true);
    }
}

#[cfg(feature = "tripwire")]
pub use wired::{Armed, take};

#[cfg(feature = "tripwire")]
#[allow(unsafe_code, reason = "stands in for functions of the C library")]
#[allow(missing_docs, reason = "the C library's functions, documented there")]
mod libc_calls {
    use std::sync::atomic::{AtomicPtr, Ordering};

    use libc::{c_int, c_long, c_uint, c_void, clockid_t, size_t, ssize_t, timespec, timeval};

    use super::wired::touch;

    /// Makes a system call whose result is an `int` and whose error goes to `errno`.
    macro_rules! syscall {
        ($number:expr $(, $argument:expr)*) => {
            // SAFETY: the caller of the function that this stands for vouches for the arguments, as it
            // would have to there; the kernel checks the pointers.
            unsafe { libc::syscall($number $(, $argument)*) }
        };
    }

    #[unsafe(no_mangle)]
    extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
        touch("clock_gettime");
        syscall!(libc::SYS_clock_gettime, clock as c_long, time) as c_int
    }

    #[unsafe(no_mangle)]
    extern "C" fn gettimeofday(time: *mut timeval, zone: *mut c_void) -> c_int {
        touch("gettimeofday");
        syscall!(libc::SYS_gettimeofday, time, zone) as c_int
    }

    #[unsafe(no_mangle)]
    extern "C" fn time(out: *mut libc::time_t) -> libc::time_t {
        touch("time");
        let mut now = timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        syscall!(
            libc::SYS_clock_gettime,
            libc::CLOCK_REALTIME as c_long,
            &raw mut now
        );
        if !out.is_null() {
            // SAFETY: the caller gave a place for the time, or null.
            unsafe { *out = now.tv_sec };
        }
        now.tv_sec
    }

    #[unsafe(no_mangle)]
    extern "C" fn nanosleep(wanted: *const timespec, left: *mut timespec) -> c_int {
        touch("nanosleep");
        syscall!(libc::SYS_nanosleep, wanted, left) as c_int
    }

    #[unsafe(no_mangle)]
    extern "C" fn clock_nanosleep(
        clock: clockid_t,
        flags: c_int,
        wanted: *const timespec,
        left: *mut timespec,
    ) -> c_int {
        touch("clock_nanosleep");
        let failed = syscall!(
            libc::SYS_clock_nanosleep,
            clock as c_long,
            c_long::from(flags),
            wanted,
            left
        ) < 0;
        // This one gives back its error.
        if failed {
            std::io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EINTR)
        } else {
            0
        }
    }

    #[unsafe(no_mangle)]
    extern "C" fn getrandom(buffer: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
        touch("getrandom");
        syscall!(libc::SYS_getrandom, buffer, len, c_long::from(flags)) as ssize_t
    }

    #[unsafe(no_mangle)]
    extern "C" fn getentropy(buffer: *mut c_void, len: size_t) -> c_int {
        touch("getentropy");
        let got = syscall!(libc::SYS_getrandom, buffer, len, 0 as c_long);
        if got == len as c_long { 0 } else { -1 }
    }

    #[unsafe(no_mangle)]
    extern "C" fn sched_yield() -> c_int {
        touch("sched_yield");
        syscall!(libc::SYS_sched_yield) as c_int
    }

    type PthreadCreate = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        extern "C" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> c_int;

    static PTHREAD_CREATE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

    #[unsafe(no_mangle)]
    extern "C" fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int {
        touch("pthread_create");
        let mut original = PTHREAD_CREATE.load(Ordering::Relaxed);
        if original.is_null() {
            // SAFETY: the name is a C string; the answer is the next definition, or null.
            original = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
            if original.is_null() {
                return libc::EAGAIN;
            }
            PTHREAD_CREATE.store(original, Ordering::Relaxed);
        }
        // SAFETY: the C library's function of this name has this type.
        let original = unsafe { std::mem::transmute::<*mut c_void, PthreadCreate>(original) };
        // SAFETY: the caller vouches for the arguments.
        unsafe { original(thread, attributes, start, argument) }
    }
}

/// While it lives, the wire is armed on this thread: here there is none.
#[cfg(not(feature = "tripwire"))]
pub struct Armed;

#[cfg(not(feature = "tripwire"))]
impl Armed {
    /// Arms nothing.
    #[inline(always)]
    #[must_use]
    pub fn new() -> Armed {
        Armed
    }
}

/// What tripped the wire: here there is none.
#[cfg(not(feature = "tripwire"))]
#[inline(always)]
#[must_use]
pub fn take() -> Option<String> {
    None
}

impl Default for Armed {
    fn default() -> Armed {
        Armed::new()
    }
}
