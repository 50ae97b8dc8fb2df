"""Signals and timers do what they do."""

import os
import signal
import sys
import threading
import time
import warnings

caught = []


def handler(number, frame):
    caught.append((signal.Signals(number).name, frame.f_code.co_name, threading.current_thread().name))


def wait_for(count):
    deadline = time.monotonic() + 60
    while len(caught) < count and time.monotonic() < deadline:
        sum(range(100))


def names(signals):
    return sorted(signal.Signals(number).name for number in signals)


for number in (signal.SIGALRM, signal.SIGPROF, signal.SIGVTALRM, signal.SIGUSR1, signal.SIGCHLD):
    print(number, signal.getsignal(number))
    signal.signal(number, handler)
for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF, signal.ITIMER_VIRTUAL):
    print(signal.getitimer(timer))
    caught.clear()
    signal.setitimer(timer, 0.02, 0.02)
    wait_for(3)
    signal.setitimer(timer, 0)
    print(sorted(set(caught)))

signal.signal(signal.SIGALRM, signal.SIG_DFL)
caught.clear()
thread = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGUSR1), name="sender")
thread.start()
thread.join()
wait_for(1)
print(caught)

caught.clear()
# The thread above may not be quite gone: 3.12 and later then warn, or not.
warnings.simplefilter("ignore", DeprecationWarning)
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
wait_for(1)
print(caught)

print(names(signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])))
os.kill(os.getpid(), signal.SIGUSR2)
print(names(signal.pthread_sigmask(signal.SIG_BLOCK, [])), names(signal.sigpending()))
signal.signal(signal.SIGUSR2, handler)
caught.clear()
print(names(signal.pthread_sigmask(signal.SIG_SETMASK, [])))
wait_for(1)
print(caught)

start = time.monotonic()
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.signal(signal.SIGALRM, handler)
caught.clear()
time.sleep(0.2)
print(caught, time.monotonic() - start >= 0.2)


def interrupts(number, frame):
    raise TimeoutError("in the middle")


def busy():
    while True:
        sum(range(100))


signal.signal(signal.SIGALRM, interrupts)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    busy()
except TimeoutError as error:
    frames, tb = [], error.__traceback__
    while tb:
        frames.append(tb.tb_frame.f_code.co_name)
        tb = tb.tb_next
    print(error, frames)
signal.signal(signal.SIGPROF, signal.SIG_IGN)
print(signal.getsignal(signal.SIGPROF))
sys.exit(0)
