// What a tick costs a thread, by what it comes from: the same work with and without, in turns within one process.
//
//   cc -O2 -pthread -o sources sources.c && ./sources 1000000     # a tick each so many nanoseconds
//
// The handler does nothing. A row has the time that the work took by that without ticks (the median of the rounds, with the quartiles),
// ticks per second, and what one took. In virtual machines nearly all of it is that the processor leaves the machine and comes back.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { ROUNDS = 24, STEPS = 60000000, NANOSECONDS = 1000000000 };
enum source { NONE, PERF_EVENT, THREAD_CPU_TIMER, MONOTONIC_TIMER, OTHER_THREAD, SOURCES };
static const char *const NAMES[SOURCES] = {"none", "a perf event of the thread (task-clock)", "a timer of its CPU time (the kernel's tick)",
                                           "a timer of the clock", "another thread that sleeps and sends"};

static volatile long ticks;
static volatile unsigned long result;
static long period_ns;
static int event = -1;
static timer_t timer;
static pthread_t sender;
static volatile int sending;
static pid_t worker;
static double sender_seconds;

static void tick(int signal) {
  (void)signal;
  ticks++;
}

static double now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void *send_ticks(void *unused) {
  prctl(PR_SET_TIMERSLACK, 1);
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  while (sending) {
    next.tv_nsec += period_ns;
    next.tv_sec += next.tv_nsec / NANOSECONDS;
    next.tv_nsec %= NANOSECONDS;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    syscall(SYS_tgkill, getpid(), worker, SIGURG);
  }
  sender_seconds += now(CLOCK_THREAD_CPUTIME_ID);
  return unused;
}

static void start(enum source source) {
  if (source == PERF_EVENT) {
    struct perf_event_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_TASK_CLOCK;
    attributes.sample_period = period_ns;
    attributes.exclude_kernel = attributes.exclude_hv = 1;
    attributes.wakeup_events = 1;
    event = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
    if (event < 0) fail("perf_event_open");
    struct f_owner_ex owner = {F_OWNER_TID, worker};
    if (fcntl(event, F_SETFL, O_ASYNC) || fcntl(event, F_SETSIG, SIGURG) || fcntl(event, F_SETOWN_EX, &owner)) fail("fcntl");
  } else if (source == THREAD_CPU_TIMER || source == MONOTONIC_TIMER) {
    struct sigevent notice;
    memset(&notice, 0, sizeof notice);
    notice.sigev_notify = SIGEV_THREAD_ID;
    notice.sigev_signo = SIGURG;
    notice.sigev_notify_thread_id = worker;
    struct timespec period = {period_ns / NANOSECONDS, period_ns % NANOSECONDS};
    struct itimerspec setting = {period, period};
    if (timer_create(source == MONOTONIC_TIMER ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &notice, &timer)) fail("timer_create");
    if (timer_settime(timer, 0, &setting, NULL)) fail("timer_settime");
  } else if (source == OTHER_THREAD) {
    sending = 1;
    if (pthread_create(&sender, NULL, send_ticks, NULL)) fail("pthread_create");
  }
}

static void stop(enum source source) {
  if (source == PERF_EVENT) close(event);
  if (source == THREAD_CPU_TIMER || source == MONOTONIC_TIMER) timer_delete(timer);
  if (source == OTHER_THREAD) {
    sending = 0;
    pthread_join(sender, NULL);
  }
}

static double work(void) {
  double start = now(CLOCK_THREAD_CPUTIME_ID);
  unsigned long value = 1;
  for (long step = 0; step < STEPS; step++) value = value * 6364136223846793005UL + step;
  result = value;
  return now(CLOCK_THREAD_CPUTIME_ID) - start;
}

static int ascending(const void *one, const void *other) {
  double a = *(const double *)one, b = *(const double *)other;
  return (a > b) - (a < b);
}

int main(int count, char **words) {
  period_ns = count == 2 ? atol(words[1]) : 0;
  if (period_ns <= 0) {
    fprintf(stderr, "usage: %s NANOSECONDS\n", words[0]);
    return 2;
  }
  worker = gettid();
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = tick;
  action.sa_flags = SA_RESTART;
  sigaction(SIGURG, &action, NULL);
  double took[SOURCES][ROUNDS], all[SOURCES] = {0};
  long ticked[SOURCES] = {0};
  work();
  for (int round = 0; round < ROUNDS; round++) {
    for (int turn = 0; turn < SOURCES; turn++) {
      enum source source = round % 2 ? SOURCES - 1 - turn : turn;
      ticks = 0;
      start(source);
      took[source][round] = work();
      stop(source);
      all[source] += took[source][round];
      ticked[source] += ticks;
    }
  }
  printf("| ticks come from | the work takes | ticks a second | a tick takes |\n|---|---|---|---|\n");
  for (int source = PERF_EVENT; source < SOURCES; source++) {
    double ratios[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) ratios[round] = took[source][round] / took[NONE][round];
    qsort(ratios, ROUNDS, sizeof *ratios, ascending);
    double median = (ratios[ROUNDS / 2 - 1] + ratios[ROUNDS / 2]) / 2, rate = ticked[source] / all[source];
    printf("| %s | %.4f (%.4f to %.4f) | %.0f | %.1f us |\n", NAMES[source], median, ratios[ROUNDS / 4], ratios[ROUNDS * 3 / 4], rate,
           rate > 0 ? (median - 1) / rate * 1e6 : 0);
  }
  printf("\nThe other thread itself took %.1f %% of a processor.\n", 100 * sender_seconds / all[OTHER_THREAD]);
  return 0;
}
