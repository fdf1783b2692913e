// SPDX-License-Identifier: Apache-2.0
//
// The loop of ezctl watch: waits on the subscriber and on signals at once, prints what came. Owns the subscriber and a
// signalfd; signals are blocked before nng makes its threads, so that none of those gets one. The awkward case is a
// connection that is lost: the subscriber makes it anew, here it is only told; a server that was never there is an
// error after a while.
#include "clients/ctl/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clients/c/subscribe.h"
#include "clients/ctl/call.h"
#include "clients/ctl/settings.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"

#define CONNECT_MS 5000
#define LINES_MAX  (64u << 20)
#define NOTES_MAX  4096

typedef struct watch {
    const ez_ctl_arguments *in;
    const ez_ctl_watch_topic *topic; // NULL: config
    const char *url;
    ez_subscriber *subscriber;
    int signals;
    ez_ctl_watch_form form;
    bool was_connected, is_connected;
    uint64_t give_up_ms; // no connection by then is an error
    uint64_t dropped;
    ez_ctl_watched watched;
    ez_ctl_followed followed;
    ez_buf event, lines, notes;
} watch;

static void say(const watch *w, const char *text) {
    if (!w->in->has[EZ_CTL_QUIET])
        ez_ctl_note("%s", text);
}

static void tell_connection(watch *w) {
    bool is_connected = ez_subscriber_is_connected(w->subscriber);
    if (w->was_connected && is_connected != w->is_connected)
        say(w, is_connected ? "connected again" : "the connection is lost; trying again");
    // A topic may be silent for long; config's first heartbeat tells more than this.
    if (is_connected && !w->was_connected && w->topic) {
        char text[64];
        (void)snprintf(text, sizeof text, "following %s", w->topic->word);
        say(w, text);
    }
    w->was_connected |= is_connected;
    w->is_connected = is_connected;
    uint64_t dropped = ez_subscriber_dropped(w->subscriber);
    if (dropped != w->dropped)
        say(w, "events came faster than they could be printed: some are missed");
    w->dropped = dropped;
}

static ez_status read_event(watch *w, ez_error *error) {
    const ez_slice event = {w->event.data, w->event.len};
    if (!w->topic)
        return ez_ctl_watch_event(&w->watched, event, w->form.is_json, &w->lines, &w->notes, error);
    return ez_ctl_watch_topic_event(&w->followed, w->topic, event, &w->form, &w->lines, &w->notes, error);
}

// The program's exit status, or -1 to go on.
static int print_events(watch *w) {
    ez_error error = EZ_ERROR_INIT;
    tell_connection(w);
    while (ez_subscriber_take(w->subscriber, &w->event)) {
        ez_buf_clear(&w->lines);
        ez_buf_clear(&w->notes);
        if (read_event(w, &error) != EZ_OK) {
            say(w, error.message);
            continue;
        }
        char *note = (char *)ez_buf_cstr(&w->notes), *line;
        while (note && (line = strsep(&note, "\n")) != NULL && *line)
            say(w, line);
        int result = ez_ctl_print(&w->lines);
        if (result != EZ_CTL_EXIT_OK)
            return result;
    }
    return -1;
}

static int follow(watch *w) {
    for (;;) {
        uint64_t now = ez_clock_mono_ms();
        if (!w->was_connected && now >= w->give_up_ms) {
            ez_ctl_note("UNAVAILABLE: there is no connection to %s (NOT_CONNECTED)", w->url);
            return EZ_CTL_EXIT_UNREACHABLE;
        }
        int wait = w->was_connected ? -1 : (int)(w->give_up_ms - now);
        struct pollfd fds[] = {{.fd = ez_subscriber_fd(w->subscriber), .events = POLLIN},
                               {.fd = w->signals, .events = POLLIN},
                               {.fd = STDOUT_FILENO, .events = 0}};
        if (poll(fds, 3, wait) < 0 && errno != EINTR) {
            ez_ctl_note("can't wait for events: %s", strerror(errno));
            return EZ_CTL_EXIT_REFUSED;
        }
        // POLLERR on a pipe: its reader is gone.
        if (fds[1].revents || fds[2].revents & (POLLERR | POLLHUP))
            return EZ_CTL_EXIT_OK;
        int result = fds[0].revents ? print_events(w) : -1;
        if (result >= 0)
            return result;
    }
}

static int open_signals(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

// Signals are as they were; those that came are forgotten.
static void close_signals(int signals) {
    struct signalfd_siginfo came;
    sigset_t set;
    while (signals >= 0 && read(signals, &came, sizeof came) == (ssize_t)sizeof came) {
    }
    if (signals >= 0)
        (void)close(signals);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

// Lines have a title, as every table has.
static int print_title(const watch *w) {
    ez_auto(ez_buf) line;
    ez_buf_init(&line, NOTES_MAX);
    const char *title = w->topic ? w->topic->title : EZ_CTL_WATCH_CONFIG_TITLE;
    if (!title || w->form.is_json)
        return EZ_CTL_EXIT_OK;
    (void)ez_buf_printf(&line, "%s\n", title);
    return ez_ctl_print(&line);
}

int ez_ctl_watch(const ez_ctl_arguments *arguments, const ez_settings *settings) {
    ez_error error = EZ_ERROR_INIT;
    const ez_client_tls tls = ez_ctl_tls(settings);
    uint32_t patience = arguments->timeout_ms ? arguments->timeout_ms : CONNECT_MS;
    const char *word = arguments->operands[0];
    const ez_ctl_watch_topic *topic = ez_ctl_watch_topic_find(word);
    bool is_json = !ez_ctl_wants_table(arguments);
    ez_ctl_live live = {0};
    watch w = {.in = arguments,
               .topic = topic,
               .url = ez_settings_text(settings, topic ? "EZ_EVENTS_URL" : "EZ_CONFIG_URL"),
               .form = {.is_json = is_json,
                        .is_screen = !is_json && isatty(STDOUT_FILENO) == 1,
                        .width = ez_ctl_terminal_width(),
                        .live = &live},
               .give_up_ms = ez_clock_mono_ms() + patience};
    if (!topic && strcmp(word, "config") != 0) {
        (void)ez_error_set(&error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE,
                           "\"%.40s\" can't be watched; config, stats, logs, alerts and data-planes can", word);
        return ez_ctl_report_usage(&error);
    }
    w.signals = open_signals();
    if (ez_subscriber_open(w.url, topic ? topic->topic : "config", &tls, &w.subscriber, &error) != EZ_OK) {
        close_signals(w.signals);
        return ez_ctl_report_usage(&error);
    }
    ez_buf_init(&w.event, EZ_EVENT_MAX);
    ez_buf_init(&w.lines, LINES_MAX);
    ez_buf_init(&w.notes, NOTES_MAX);
    int result = print_title(&w);
    if (result == EZ_CTL_EXIT_OK)
        result = follow(&w);
    close_signals(w.signals); // closing may take a second: another Ctrl-C ends the program at once
    ez_subscriber_close(w.subscriber);
    ez_buf_fini(&w.event);
    ez_buf_fini(&w.lines);
    ez_buf_fini(&w.notes);
    return result;
}
