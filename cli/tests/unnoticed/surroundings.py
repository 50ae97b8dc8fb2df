"""What a program finds around it, a line each."""

import os
import resource
import signal
import sys
import threading

ADDED = ("LD_PRELOAD", "PRONK_SESSION")

print("arguments", sys.argv, getattr(sys, "orig_argv", None))
print("flags", sys.flags)
print("executable", sys.executable, sys.prefix, sys.base_prefix)
print("path", sys.path)
print("modules", sorted(sys.modules))
print("options", sys.warnoptions, sys._xoptions)
print("limits", sys.getrecursionlimit(), sys.getswitchinterval(), threading.stack_size())
print("hooks", sys.gettrace(), sys.getprofile(), sys.excepthook is sys.__excepthook__)
print("encodings", sys.stdin.encoding, sys.stdout.encoding, sys.getfilesystemencoding())
for name, value in sorted(os.environ.items()):
    if name not in ADDED:
        print("environment", name, value)
print("directory", os.getcwd())
# The last descriptor is that of the directory itself.
print("files", [(name, os.path.exists("/proc/self/fd/" + name)) for name in sorted(os.listdir("/proc/self/fd"))])
# The signals that bring samples, and those of faults, are caught (tests of what is known to be different).
OURS = sum(1 << number - 1 for number in (signal.SIGURG, signal.SIGSEGV, signal.SIGBUS))
for name in ("Threads", "Umask", "SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd", "NoNewPrivs", "Seccomp", "TracerPid", "CapEff"):
    with open("/proc/self/status") as status:
        lines = [line.split() for line in status if line.startswith(name + ":")]
        if name == "SigCgt":
            lines = [[name, int(mask, 16) & ~OURS] for [_, mask] in lines]
        if name == "SigPnd":
            # A sample that is due while the kernel writes the file is one that is pending.
            lines = [[key, f"{int(mask, 16) & ~(1 << signal.SIGURG - 1):016x}"] for key, mask in lines]
        print("status", lines)
for name in sorted(name for name in dir(resource) if name.startswith("RLIMIT_")):
    print("resource", name, resource.getrlimit(getattr(resource, name)))
for number in range(1, 65):
    try:
        print("signal", number, signal.getsignal(number))
    except ValueError:
        pass
print("mask", sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
print("priority", os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)))
print("leads its group", os.getpgrp() == os.getpid(), "leads its session", os.getsid(0) == os.getpid())
print("users", os.getuid(), os.geteuid(), os.getgid(), os.getgroups())
print("core", open("/proc/self/coredump_filter").read().strip(), open("/proc/self/oom_score_adj").read().strip())
print("terminals", [os.isatty(number) for number in range(3)])
print("name", open("/proc/self/comm").read().strip(), open("/proc/self/cmdline").read().split("\0"))
