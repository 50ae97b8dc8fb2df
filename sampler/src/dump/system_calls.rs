//! The names of the system calls in which threads wait.

macro_rules! names {
    ($($(#[$when:meta])? $constant:ident => $name:literal,)*) => {
        /// The name of a system call by its number, if threads can wait in it.
        pub(super) fn name(number: u64) -> Option<&'static str> {
            let number = libc::c_long::try_from(number).ok()?;
            $($(#[$when])? if number == libc::$constant { return Some($name); })*
            None
        }
    };
}

names! {
    SYS_futex => "futex",
    SYS_read => "read",
    SYS_write => "write",
    SYS_readv => "readv",
    SYS_writev => "writev",
    SYS_pread64 => "pread64",
    SYS_pwrite64 => "pwrite64",
    SYS_openat => "openat",
    SYS_close => "close",
    SYS_fsync => "fsync",
    SYS_fdatasync => "fdatasync",
    SYS_flock => "flock",
    SYS_fcntl => "fcntl",
    SYS_ioctl => "ioctl",
    SYS_ppoll => "ppoll",
    SYS_pselect6 => "pselect6",
    SYS_epoll_pwait => "epoll_pwait",
    SYS_epoll_pwait2 => "epoll_pwait2",
    SYS_io_uring_enter => "io_uring_enter",
    SYS_nanosleep => "nanosleep",
    SYS_clock_nanosleep => "clock_nanosleep",
    SYS_accept => "accept",
    SYS_accept4 => "accept4",
    SYS_connect => "connect",
    SYS_recvfrom => "recvfrom",
    SYS_recvmsg => "recvmsg",
    SYS_recvmmsg => "recvmmsg",
    SYS_sendto => "sendto",
    SYS_sendmsg => "sendmsg",
    SYS_sendfile => "sendfile",
    SYS_splice => "splice",
    SYS_wait4 => "wait4",
    SYS_waitid => "waitid",
    SYS_rt_sigtimedwait => "rt_sigtimedwait",
    SYS_rt_sigsuspend => "rt_sigsuspend",
    SYS_semop => "semop",
    SYS_semtimedop => "semtimedop",
    SYS_msgrcv => "msgrcv",
    SYS_mq_timedreceive => "mq_timedreceive",
    SYS_restart_syscall => "restart_syscall",
    #[cfg(target_arch = "x86_64")] SYS_open => "open",
    #[cfg(target_arch = "x86_64")] SYS_poll => "poll",
    #[cfg(target_arch = "x86_64")] SYS_select => "select",
    #[cfg(target_arch = "x86_64")] SYS_epoll_wait => "epoll_wait",
    #[cfg(target_arch = "x86_64")] SYS_pause => "pause",
}
