//! What the recorder's own system calls must not change in the thread that they run on: `errno`, which the host may be
//! about to look at, and the moment at which a cancelled thread ends, which must not lie inside the recorder.

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;

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
            pthread_setcancelstate(self.cancel_state, ptr::null_mut());
            *libc::__errno_location() = self.errno;
        }
    }
}

/// While it lives no signal is handled on this thread: a handler that recorded now would find the recorder busy, and one
/// that left by `siglongjmp` would leave it so for ever. Costs two system calls, so it stands where others are made.
pub(crate) struct SignalsHeld {
    previous: MaybeUninit<libc::sigset_t>,
}

impl SignalsHeld {
    /// Holds back all signals.
    pub(crate) fn begin() -> SignalsHeld {
        let mut held = SignalsHeld {
            previous: MaybeUninit::uninit(),
        };
        // SAFETY: sigfillset fills the set in before it is used; pthread_sigmask fills the previous one in, and can't
        // fail for an operation that exists.
        unsafe {
            let mut all = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), held.previous.as_mut_ptr());
        }
        held
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        // SAFETY: `begin` filled the set in.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, self.previous.as_ptr(), ptr::null_mut());
        }
    }
}
