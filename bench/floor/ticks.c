// A signal of a timer, as often as FLOOR_HZ says, for the thread that loads this library; its handler does nothing.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static void nothing(int signal) { (void)signal; }

__attribute__((constructor)) static void start(void) {
  const char *hz = getenv("FLOOR_HZ");
  if (hz == NULL || atol(hz) <= 0) return;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = nothing;
  action.sa_flags = SA_RESTART;
  sigaction(SIGURG, &action, NULL);
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGURG;
  event.sigev_notify_thread_id = gettid();
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return;
  struct timespec period = {0, 1000000000 / atol(hz)};
  struct itimerspec setting = {period, period};
  timer_settime(timer, 0, &setting, NULL);
}
