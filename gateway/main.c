// SPDX-License-Identifier: Apache-2.0
//
// ez-gateway: settings, start, stop. The main thread only waits for a signal; signals are blocked before the first
// thread is made, so that no other gets one. It holds no state and no authority: it forwards the caller's credential.
//
//   ez-gateway [flags]    serve
//   ez-gateway settings   the table of settings, as Markdown
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "gateway/server.h"
#include "proto/runtime/exit_guard.h"
#include "proto/runtime/log.h"
#include "proto/runtime/settings.h"
#include "proto/runtime/version.h"

#define DRAIN_MS 10000
#define CLOSE_MS 5000 // for sockets and memory, once all is answered

static const ez_setting table[] = {
    {"EZ_HTTP_ADDR", EZ_SETTING_TEXT, "127.0.0.1:7380", 0, 0, "Address to listen on for HTTP; port 0 takes a free one.",
     "ADDR"},
    {"EZ_RPC_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7350", 0, 0,
     "Calls socket of the core. Several cores of one store with commas: one is used, the next when it is gone or "
     "silent.",
     "URLS"},
    {"EZ_EVENTS_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7352", 0, 0,
     "Events socket of the core; of several, in the same order.", "URLS"},
    {"EZ_LOG_LEVEL", EZ_SETTING_TEXT, "info", 0, 0, "debug, info, warn or error; debug logs each request.", "LEVEL"},
    {"EZ_HTTP_LOOPS", EZ_SETTING_INT, "0", 0, 64, "Event loops, each a thread; 0 takes one per core.", "N"},
    {"EZ_HTTP_MAX_CONNECTIONS", EZ_SETTING_INT, "4096", 1, 1000000, "HTTP connections at once; more are refused.", "N"},
    {"EZ_HTTP_MAX_CALLS", EZ_SETTING_INT, "1024", 1, 65536,
     "Calls to the core in flight per loop; more are answered 503.", "N"},
    {"EZ_HTTP_MAX_STREAMS", EZ_SETTING_INT, "1000", 0, 1000000,
     "Event streams (GET /admin/events) at once; more are answered 503.", "N"},
    {"EZ_HTTP_STREAM_CHECK", EZ_SETTING_INT, "60", 1, 3600,
     "Seconds after which is asked again whether a client may still watch events.", "N"},
    {"EZ_HTTP_STREAM_BEAT", EZ_SETTING_INT, "15", 1, 3600,
     "Seconds without an event after which a stream gets a comment; one of which nothing is read for twice as long is "
     "closed.",
     "N"},
    {"EZ_HTTP_IDLE_TIMEOUT", EZ_SETTING_INT, "60", 1, 3600, "Seconds a connection may stand without a request.", "N"},
    {"EZ_HTTP_REQUEST_TIMEOUT", EZ_SETTING_INT, "10", 1, 600,
     "Seconds a request may take to arrive, beside one for each 32 KiB of it.", "N"},
    {"EZ_CORS_ORIGINS", EZ_SETTING_TEXT, NULL, 0, 0,
     "Origins that browsers may call from, comma-separated, or *; empty: none.", "ORIGINS"},
};

// Every connection is a descriptor: as many as the system lets us have.
static void raise_descriptors(long long connections) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur != RLIM_INFINITY && (long long)limit.rlim_cur < connections + 256)
        ez_log_warn("the limit of open files is lower than EZ_HTTP_MAX_CONNECTIONS and 256 more", "limit",
                    EZ_LOG_INT(limit.rlim_cur));
}

static ez_server_options read_options(const ez_settings *settings) {
    return (ez_server_options){
        .http_addr = ez_settings_text(settings, "EZ_HTTP_ADDR"),
        .rpc_url = ez_settings_text(settings, "EZ_RPC_URL"),
        .events_url = ez_settings_text(settings, "EZ_EVENTS_URL"),
        .cors_origins = ez_settings_text(settings, "EZ_CORS_ORIGINS"),
        .loops = (unsigned)ez_settings_int(settings, "EZ_HTTP_LOOPS"),
        .max_connections = (unsigned)ez_settings_int(settings, "EZ_HTTP_MAX_CONNECTIONS"),
        .max_calls = (unsigned)ez_settings_int(settings, "EZ_HTTP_MAX_CALLS"),
        .max_streams = (unsigned)ez_settings_int(settings, "EZ_HTTP_MAX_STREAMS"),
        .stream_check_s = (unsigned)ez_settings_int(settings, "EZ_HTTP_STREAM_CHECK"),
        .stream_beat_s = (unsigned)ez_settings_int(settings, "EZ_HTTP_STREAM_BEAT"),
        .idle_s = (unsigned)ez_settings_int(settings, "EZ_HTTP_IDLE_TIMEOUT"),
        .request_s = (unsigned)ez_settings_int(settings, "EZ_HTTP_REQUEST_TIMEOUT"),
    };
}

static unsigned count_urls(const char *urls) {
    unsigned count = 1;
    while ((urls = strchr(urls, ',')) != NULL) {
        urls++;
        count++;
    }
    return count;
}

static int serve(const ez_settings *settings) {
    ez_error error = EZ_ERROR_INIT;
    ez_server_options options = read_options(settings);
    if (count_urls(options.rpc_url) != count_urls(options.events_url)) {
        ez_log_error("can't start", "why", "EZ_RPC_URL and EZ_EVENTS_URL must name the same cores, in the same order");
        return 1;
    }
    ez_server *server;
    char addr[EZ_SERVER_ADDR_MAX];
    sigset_t signals;
    int caught = 0;
    raise_descriptors(options.max_connections);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    if (ez_server_open(&options, &server, addr, &error) != EZ_OK) {
        ez_log_error("can't start", "why", error.message);
        return 1;
    }
    (void)printf("ready http://%s\n", addr);
    (void)fflush(stdout);
    ez_log_info("listening", "address", addr, "core", options.rpc_url, "events", options.events_url, "version",
                ez_version);
    (void)sigwait(&signals, &caught);
    ez_log_info("stopping", "signal", strsignal(caught));
    ez_exit_guard(DRAIN_MS + CLOSE_MS, 0);
    ez_server_close(server, DRAIN_MS);
    return 0;
}

int main(int argc, char **argv) {
    static const char usage[] = "[FLAGS] | settings";
    if (argc == 2 && strcmp(argv[1], "settings") == 0) {
        ez_settings_markdown(stdout, "ez-gateway", table, sizeof table / sizeof table[0]);
        return 0;
    }
    ez_error error = EZ_ERROR_INIT;
    ez_settings *settings = NULL;
    int rest = 0;
    bool done = false;
    ez_status status = ez_settings_open("ez-gateway", usage, table, sizeof table / sizeof table[0], argc, argv,
                                        &settings, &rest, &done, &error);
    if (status == EZ_OK && done)
        return 0;
    ez_log_init("ez-gateway", status == EZ_OK ? ez_settings_text(settings, "EZ_LOG_LEVEL") : NULL);
    if (status != EZ_OK || rest < argc) {
        ez_log_error("can't start", "why",
                     status != EZ_OK ? error.message : "ez-gateway takes flags, or the word settings");
        ez_settings_close(settings);
        return 2;
    }
    int result = serve(settings);
    ez_settings_close(settings);
    return result;
}
