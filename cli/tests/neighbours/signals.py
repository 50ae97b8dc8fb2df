"""Uses signals, timers and blocking calls as programs do, and prints what came of it."""

import ctypes
import faulthandler
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


def profiling_timer():
    ticks = []
    signal.signal(signal.SIGPROF, lambda *_: ticks.append(1))
    signal.setitimer(signal.ITIMER_PROF, 0.02, 0.02)
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    return len(ticks) > 3


def alarm():
    rings = []
    signal.signal(signal.SIGALRM, lambda *_: rings.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    while len(rings) < 3:
        signal.pause()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return len(rings)


def wakeup_fd():
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno())
    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    woken = reader.recv(16)
    signal.set_wakeup_fd(before)
    return before, list(woken) == [signal.SIGUSR1]


def urgent():
    seen = []
    before = signal.signal(signal.SIGURG, lambda number, _: seen.append(number))
    os.kill(os.getpid(), signal.SIGURG)
    end = time.monotonic() + 10
    while not seen and time.monotonic() < end:
        time.sleep(0.001)
    handler = signal.getsignal(signal.SIGURG)
    back = signal.signal(signal.SIGURG, before)
    return before == signal.SIG_DFL, seen == [signal.SIGURG], handler is back


def all_blocked():
    everything = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
    os.kill(os.getpid(), signal.SIGUSR2)
    got = signal.sigwait([signal.SIGUSR2])
    timed = signal.sigtimedwait([signal.SIGUSR1], 0.02)
    signal.pthread_sigmask(signal.SIG_SETMASK, everything)
    return got == signal.SIGUSR2, timed


def tracebacks():
    faulthandler.enable()
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback_later(0.05, file=file)
        # The thread that writes shares the file's offset: pread leaves it alone.
        end = time.monotonic() + 30
        while time.monotonic() < end and b"tracebacks" not in os.pread(file.fileno(), 65536, 0):
            sum(range(1000))
        faulthandler.cancel_dump_traceback_later()
        return b"tracebacks" in os.pread(file.fileno(), 65536, 0)


class Stack(ctypes.Structure):
    _fields_ = [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def alternate_stack():
    libc = ctypes.CDLL(None, use_errno=True)
    memory = ctypes.create_string_buffer(65536)
    mine = Stack(ctypes.addressof(memory), 0, len(memory))
    before, found = Stack(), Stack()
    assert libc.sigaltstack(ctypes.byref(mine), ctypes.byref(before)) == 0
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
    assert libc.sigaltstack(ctypes.byref(before), ctypes.byref(found)) == 0
    return found.pointer == mine.pointer, found.size == mine.size


def waits():
    """Each wait is as long as it should be, whatever interrupts it."""
    reader, writer = socket.socketpair()
    results = []
    for wait in (
        lambda: time.sleep(0.15),
        lambda: select.select([reader], [], [], 0.15),
        lambda: select.epoll().poll(0.15),
        lambda: threading.Event().wait(0.15),
        lambda: subprocess.run(["sleep", "0.15"], check=True),
    ):
        start = time.monotonic()
        wait()
        results.append(time.monotonic() - start >= 0.149)
    poll = select.poll()
    poll.register(reader)
    threading.Timer(0.1, lambda: writer.send(b"hello")).start()
    results.append(reader.recv(5))
    with subprocess.Popen(["sh", "-c", "sleep 0.1; echo said"], stdout=subprocess.PIPE) as child:
        results.append(child.stdout.read())
    return results


for part in (profiling_timer, alarm, wakeup_fd, urgent, all_blocked, tracebacks, alternate_stack, waits):
    print(part.__name__, part(), flush=True)
