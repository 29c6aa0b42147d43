//! What the recorder's own system calls must not change in the thread that they run on: `errno`, which the host may be
//! about to look at, and the moment at which a cancelled thread ends, which must not lie inside the recorder.

use core::ffi::c_int;

unsafe extern "C" {
    // Part of every libc on Linux; the crate `libc` lacks it there.
    fn pthread_setcancelstate(state: c_int, old_state: *mut c_int) -> c_int;
}

/// `PTHREAD_CANCEL_DISABLE` of glibc and musl.
const DISABLE: c_int = 1;

/// While it lives the thread isn't cancelled; at its end `errno` is as it was.
pub(crate) struct Undisturbed {
    errno: c_int,
    cancel_state: c_int,
}

impl Undisturbed {
    /// Stands at the top of every path that makes system calls.
    pub(crate) fn begin() -> Undisturbed {
        let mut cancel_state = 0;
        // SAFETY: the pointers are to the thread's own errno and to a live integer; the call stores one word of the
        // thread's state, so that a signal handler may make it too.
        let errno = unsafe {
            let errno = *libc::__errno_location();
            pthread_setcancelstate(DISABLE, &mut cancel_state);
            errno
        };
        Undisturbed {
            errno,
            cancel_state,
        }
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        // SAFETY: as above. A cancellation that came meanwhile waits for the host's next cancellation point.
        unsafe {
            pthread_setcancelstate(self.cancel_state, core::ptr::null_mut());
            *libc::__errno_location() = self.errno;
        }
    }
}
