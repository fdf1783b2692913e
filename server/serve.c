// SPDX-License-Identifier: Apache-2.0
//
// Ordered start: core → handlers' objects → calls socket → timer → "ready". Stopping goes the other way, in phases:
// nobody is waited for any more, no new call is taken, what was begun is answered (at most 10 s), threads end, memory
// goes.
//
// Signals are blocked before the first thread is made and taken with sigwait here: no handler runs in the middle of
// anything.
#include "server/serve.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/random.h"
#include "proto/crypto/seal.h"
#include "proto/crypto/token.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/exit_guard.h"
#include "proto/runtime/log.h"
#include "proto/runtime/version.h"
#include "server/alerting.h"
#include "server/core.h"
#include "server/domain/audit/audit.h"
#include "server/domain/import/import.h"
#include "server/domain/logs/error_webhook.h"
#include "server/domain/logs/logs.h"
#include "server/domain/redis/redis.h"
#include "server/domain/routing/models/models.h"
#include "server/domain/routing/routing.h"
#include "server/domain/usage/usage.h"
#include "server/jobs/bans.h"
#include "server/jobs/timer.h"
#include "server/listeners.h"
#include "server/peers/servers.h"
#include "server/rpc/rpc.h"
#include "server/rpc/system.h"
#include "server/state/delivery/delivery.h"
#include "server/state/metering/appender.h"
#include "server/tokens.h"

#define DRAIN_MS        10000
#define LAND_MS         4000  // for token refreshes that were sent
#define STOP_MS         25000 // for everything, where the store is away too; service managers wait for 30 s
#define DELIVER_MS      2000  // of it for messages that are in flight
#define CLOSE_MS        5000  // of it for sockets and memory, once all is answered and durable
#define SERVER_ID_BYTES 8

typedef struct server {
    char id[2 * SERVER_ID_BYTES + 1];
    ez_core core;
    ez_publish *events;
    ez_routing *routing;
    ez_model_sync *model_sync;
    ez_models *models;
    ez_audit *audit;
    ez_outbound *outbound;
    ez_deliverer *deliverer;
    ez_error_webhook *error_webhook;
    ez_logs *logs;
    ez_appender *logs_appender;
    ez_alerting alerting;
    ez_import *import;
    ez_fleet *fleet;
    ez_usage *usage;
    ez_oauth *oauth;
    ez_redis *redis;
    ez_appender *usage_appender;
    char peer_token[EZ_PEER_TOKEN_MAX];
    uint8_t peer_hash[EZ_TOKEN_HASH_LEN];
    ez_servers *servers;
    ez_system *system;
    ez_rpc *rpc;
    ez_bans *bans;
    ez_timer *timer;
} server;

static ez_status open_webhooks(server *s, const ez_settings *settings, ez_error *error) {
    ez_outbound_options outbound = {.allow = ez_settings_text(settings, "EZ_OUTBOUND_ALLOW"),
                                    .ca_file = ez_settings_text(settings, "EZ_CA_FILE")};
    ez_status status = ez_outbound_create(&outbound, &s->outbound, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_deliverer_options deliverer = {.outbound = s->outbound};
    status = ez_deliverer_create(&deliverer, &s->deliverer, error);
    ez_error_webhook_options webhook = {
        .directory = s->core.directory, .sealer = s->core.sealer, .deliverer = s->deliverer, .server_id = s->id};
    return status != EZ_OK ? status : ez_error_webhook_create(&webhook, &s->error_webhook, error);
}

static void note_stored(void *user, const ez_log_row *rows, size_t count) {
    server *s = user;
    ez_error_webhook_note(s->error_webhook, rows, count, ez_clock_wall_ns());
}

static void chore_logs(void *user, bool *more) {
    server *s = user;
    ez_logs_chore(s->logs, more);
    *more = ez_delivery_drain(s->deliverer, s->core.store) || *more;
}

static ez_status open_logs(server *s, const ez_settings *settings, ez_error *error) {
    ez_status status = open_webhooks(s, settings, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_logs_options logs = {.directory = s->core.directory,
                            .feed = s->core.feed,
                            .store = s->core.store,
                            .holder = ez_lease_holder(s->core.lease),
                            .sealer = s->core.sealer,
                            .allow = ez_outbound_allowed(s->outbound),
                            .events = s->events,
                            .retention_days = ez_settings_int(settings, "EZ_LOG_RETENTION_DAYS"),
                            .max_records = ez_settings_int(settings, "EZ_LOG_MAX_RECORDS"),
                            .sample_per_second = ez_settings_int(settings, "EZ_LOG_SAMPLE_PER_SECOND"),
                            .stored = note_stored,
                            .stored_user = s};
    status = ez_logs_create(&logs, &s->logs, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_appender_options appender = {.store = s->core.store,
                                    .stream = EZ_STREAM_LOGS,
                                    .queue = (size_t)ez_settings_int(settings, "EZ_RPC_CALLS"),
                                    .chore = chore_logs,
                                    .chore_user = s};
    return ez_appender_create(&appender, &s->logs_appender, error);
}

static ez_status make_id(server *s, ez_error *error) {
    uint8_t bytes[SERVER_ID_BYTES];
    if (ez_random(bytes, sizeof bytes) != EZ_OK) {
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS", "the system gives no random numbers");
    }
    ez_hex(bytes, sizeof bytes, s->id);
    return EZ_OK;
}

static ez_status open_usage(server *s, const ez_settings *settings, ez_error *error) {
    ez_usage_options usage = {.store = s->core.store,
                              .directory = s->core.directory,
                              .feed = s->core.feed,
                              .writer = s->core.writer,
                              .holder = ez_lease_holder(s->core.lease),
                              .counters = s->core.counters,
                              .realtime = s->core.realtime,
                              .events = s->events};
    ez_status status = ez_usage_create(&usage, &s->usage, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_appender_options appender = {.store = s->core.store,
                                    .stream = EZ_STREAM_USAGE,
                                    .queue = (size_t)ez_settings_int(settings, "EZ_RPC_CALLS"),
                                    .total = ez_usage_counted,
                                    .total_user = s->usage,
                                    .chore = ez_usage_chore,
                                    .chore_user = s->usage};
    return ez_appender_create(&appender, &s->usage_appender, error);
}

static void look_at_lease(void *user, char *holder, uint64_t *token) {
    ez_lease_look(user, holder, token);
}

// Where others reach one of our sockets.
static const char *advertised(const ez_settings *settings, const char *advertise, const char *listen) {
    const char *url = ez_settings_text(settings, advertise);
    return url != NULL && url[0] != '\0' ? url : ez_settings_text(settings, listen);
}

static void note_counted(void *user) {
    ez_usage_hint(user);
}

static ez_status open_servers(server *s, const ez_settings *settings, ez_error *error) {
    ez_peer_token(s->core.sealer, s->core.head.epoch, s->peer_token);
    ez_token_hash(s->peer_token, strlen(s->peer_token), s->peer_hash);
    ez_servers_options servers = {
        .store = s->core.store,
        .feed = s->core.feed,
        .writer = s->core.writer,
        .fleet = s->fleet,
        .events = s->events,
        .server_id = s->id,
        .rpc_url = advertised(settings, "EZ_ADVERTISE_RPC_URL", "EZ_RPC_URL"),
        .config_url = advertised(settings, "EZ_ADVERTISE_CONFIG_URL", "EZ_CONFIG_URL"),
        .events_url = advertised(settings, "EZ_ADVERTISE_EVENTS_URL", "EZ_EVENTS_URL"),
        .advertised_rpc_url = ez_settings_text(settings, "EZ_ADVERTISE_RPC_URL"),
        .peers = ez_settings_text(settings, "EZ_PEERS"),
        .token = s->peer_token,
        .counted = note_counted,
        .counted_user = s->usage,
    };
    return ez_servers_create(&servers, &s->servers, error);
}

static ez_status open_models(server *s, const ez_settings *settings, ez_error *error) {
    const char *redis_url = ez_settings_text(settings, "EZ_REDIS_URL");
    ez_model_sync_options sync = {.directory = s->core.directory,
                                  .holder = ez_lease_holder(s->core.lease),
                                  .writer = s->core.writer,
                                  .deriver = s->core.deriver,
                                  .outbound = s->outbound,
                                  .file = ez_settings_text(settings, "EZ_MODELS_FILE"),
                                  .url = ez_settings_text(settings, "EZ_MODELS_URL"),
                                  .home = ez_settings_text(settings, "EZ_HOME"),
                                  .interval_ms = (uint64_t)ez_settings_int(settings, "EZ_MODELS_INTERVAL") * 1000,
                                  .keeps_meta = redis_url != NULL && redis_url[0] != '\0'};
    ez_status status = ez_model_sync_create(&sync, &s->model_sync, error);
    ez_models_options models = {.directory = s->core.directory, .sync = s->model_sync};
    return status != EZ_OK ? status : ez_models_create(&models, &s->models, error);
}

static ez_status open_redis(server *s, const ez_settings *settings, ez_error *error) {
    ez_holder holder = ez_lease_holder(s->core.lease);
    int64_t interval_ms;
    ez_status status =
        ez_redis_read_interval(ez_settings_text(settings, "EZ_SYNC_OUTBOX_INTERVAL"), &interval_ms, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_redis_options redis = {.store = s->core.store,
                              .directory = s->core.directory,
                              .feed = s->core.feed,
                              .server_id = s->id,
                              .url = ez_settings_text(settings, "EZ_REDIS_URL"),
                              .prefix = ez_settings_text(settings, "EZ_REDIS_PREFIX"),
                              .ca_file = ez_settings_text(settings, "EZ_REDIS_CA_FILE"),
                              .interval_ms = interval_ms,
                              .batch = ez_settings_int(settings, "EZ_SYNC_OUTBOX_BATCH"),
                              .max_tries = ez_settings_int(settings, "EZ_SYNC_OUTBOX_MAX_RETRIES"),
                              .is_holder = holder.is_holder,
                              .holder_user = holder.user,
                              .failed = ez_alert_sources_redis_failed,
                              .healed = ez_alert_sources_redis_healed,
                              .failed_user = s->alerting.sources,
                              .refresh = ez_tokens_take_queued,
                              .refresh_user = s->oauth};
    status = ez_redis_create(&redis, &s->redis, error);
    return status != EZ_OK ? status : ez_redis_start(s->redis, error);
}

static ez_status open_fleet(server *s, const ez_settings *settings, ez_error *error) {
    ez_fleet_options fleet = {.directory = s->core.directory,
                              .feed = s->core.feed,
                              .writer = s->core.writer,
                              .events = s->events,
                              .server_id = s->id,
                              .config_url = advertised(settings, "EZ_ADVERTISE_CONFIG_URL", "EZ_CONFIG_URL"),
                              .events_url = advertised(settings, "EZ_ADVERTISE_EVENTS_URL", "EZ_EVENTS_URL"),
                              .told = ez_alert_sources_fleet,
                              .told_user = s->alerting.sources};
    ez_status status = ez_fleet_create(&fleet, &s->fleet, error);
    s->alerting.fleet = s->fleet;
    return status;
}

static ez_status open_domain(server *s, const ez_settings *settings, ez_error *error) {
    ez_status status = open_logs(s, settings, error); // first: it makes what calls out
    if (status != EZ_OK) {
        return status;
    }
    ez_routing_options routing = {
        .directory = s->core.directory, .counters = s->core.counters, .allow = ez_outbound_allowed(s->outbound)};
    ez_audit_options audit = {.feed = s->core.feed};
    status = ez_routing_create(&routing, &s->routing, error);
    status = status != EZ_OK ? status : ez_audit_create(&audit, &s->audit, error);
    ez_import_options import = {.access = s->core.access, .routing = s->routing, .counters = s->core.counters};
    status = status != EZ_OK ? status : ez_import_create(&import, &s->import, error);
    ez_alerting_options alerting = {.core = &s->core,
                                    .routing = s->routing,
                                    .events = s->events,
                                    .outbound = s->outbound,
                                    .deliverer = s->deliverer,
                                    .server_id = s->id};
    status = status != EZ_OK ? status : ez_alerting_open(&s->alerting, &alerting, settings, error);
    status = status != EZ_OK ? status : open_models(s, settings, error);
    status = status != EZ_OK ? status : open_fleet(s, settings, error);
    status = status != EZ_OK ? status : open_usage(s, settings, error);
    status = status != EZ_OK ? status : open_servers(s, settings, error);
    status = status != EZ_OK ? status
                             : ez_tokens_open(&s->core, settings, s->id, s->outbound, s->routing, s->alerting.alerts,
                                              &s->oauth, error);
    atomic_store(&s->alerting.oauth, s->oauth);
    status = status != EZ_OK ? status : open_redis(s, settings, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_system_options system = {.directory = s->core.directory,
                                .feed = s->core.feed,
                                .fleet = s->fleet,
                                .store = s->core.store,
                                .redis = s->redis,
                                .oauth = s->oauth,
                                .server_id = s->id,
                                .look_at_lease = look_at_lease,
                                .lease = s->core.lease,
                                .events = s->events,
                                .events_url = advertised(settings, "EZ_ADVERTISE_EVENTS_URL", "EZ_EVENTS_URL"),
                                .write_metrics = ez_alerting_write_metrics,
                                .metrics_user = &s->alerting,
                                .insecure_listen = ez_settings_bool(settings, "EZ_INSECURE_LISTEN")};
    return ez_system_create(&system, &s->system, error);
}

static ez_status open_sockets(server *s, const ez_settings *settings, ez_error *error) {
    ez_rpc_options rpc = {.url = ez_settings_text(settings, "EZ_RPC_URL"),
                          .contexts = (unsigned)ez_settings_int(settings, "EZ_RPC_CALLS"),
                          .max_peers = (unsigned)ez_settings_int(settings, "EZ_RPC_CONNECTIONS"),
                          .per_peer = (unsigned)ez_settings_int(settings, "EZ_RPC_PER_CONNECTION"),
                          .directory = s->core.directory,
                          .feed = s->core.feed,
                          .writer = s->core.writer,
                          .store = s->core.store,
                          .fleet = s->fleet,
                          .wait = ez_servers_wait,
                          .wait_user = s->servers,
                          .peer_hash = s->peer_hash,
                          .selves = {[EZ_SLOT_ACCESS] = s->core.access,
                                     [EZ_SLOT_ROUTING] = s->routing,
                                     [EZ_SLOT_MODELS] = s->models,
                                     [EZ_SLOT_AUDIT] = s->audit,
                                     [EZ_SLOT_LOGS] = s->logs,
                                     [EZ_SLOT_ALERTS] = s->alerting.alerts,
                                     [EZ_SLOT_ALERT_NOTIFIER] = s->alerting.notifier,
                                     [EZ_SLOT_DETECTOR] = s->alerting.detector,
                                     [EZ_SLOT_FLEET] = s->fleet,
                                     [EZ_SLOT_IMPORT] = s->import,
                                     [EZ_SLOT_USAGE] = s->usage,
                                     [EZ_SLOT_SERVERS] = s->servers,
                                     [EZ_SLOT_REDIS] = s->redis,
                                     [EZ_SLOT_OAUTH] = s->oauth,
                                     [EZ_SLOT_SYSTEM] = s->system},
                          .appenders = {[EZ_SLOT_LOGS] = s->logs_appender,
                                        [EZ_SLOT_USAGE] = s->usage_appender,
                                        [EZ_SLOT_ALERTS] = ez_alerts_appender(s->alerting.alerts)}};
    ez_status status = ez_rpc_open(&rpc, &s->rpc, error);
    if (status == EZ_OK) {
        ez_system_watch(s->system, s->rpc);
    }
    return status;
}

static void beat(void *user) {
    ez_feed_beat(user, ez_clock_wall_ns(), EZ_HEARTBEAT_MS);
}

static void tick_fleet(void *user) {
    ez_fleet_tick(user);
}

static void tick_writer(void *user) {
    ez_writer_tick(user);
}

static void tick_logs(void *user) {
    ez_logs_tick(user);
}

static void tick_models(void *user) {
    ez_model_sync_tick(user);
}

static void tick_deliveries(void *user) {
    ez_delivery_tick(user, ez_clock_mono_ms());
}

static void tick_rpc(void *user) {
    ez_rpc_tick(user);
}

static void tick_bans(void *user) {
    ez_bans_tick(user);
}

static void tick_usage(void *user) {
    ez_usage_tick(user);
}

static ez_status open_timer(server *s, ez_error *error) {
    ez_status status = ez_bans_create(s->core.writer, s->routing, ez_lease_holder(s->core.lease), &s->bans, error);
    if (status != EZ_OK) {
        return status;
    }
    const ez_timer_job jobs[] = {
        {"push heartbeat", EZ_HEARTBEAT_MS / 10, beat, s->core.feed},
        {"data planes", 20, tick_fleet, s->fleet},
        {"writer", 1000, tick_writer, s->core.writer},
        {"counts", 50, tick_logs, s->logs},
        {"deliveries", 250, tick_deliveries, s->deliverer},
        {"alerts", 250, ez_alerting_tick, &s->alerting},
        {"models", 250, tick_models, s->model_sync},
        {"bans", 1000, tick_bans, s->bans},
        {"connections", 500, tick_rpc, s->rpc},
        {"live numbers", 1000, tick_usage, s->usage},
    };
    return ez_timer_create(jobs, sizeof jobs / sizeof jobs[0], &s->timer, error);
}

static ez_status open_server(server *s, const ez_settings *settings, ez_error *error) {
    ez_status status = ez_listeners_check(settings, error);
    status = status != EZ_OK ? status : make_id(s, error);
    status = status != EZ_OK ? status : ez_core_open(&s->core, settings, s->id, NULL, error);
    if (status == EZ_OK) {
        status = ez_core_open_publish(settings, "EZ_EVENTS_URL", s->id, &s->events, error);
    }
    status = status != EZ_OK ? status : open_domain(s, settings, error);
    status = status != EZ_OK ? status : open_sockets(s, settings, error);
    status = status != EZ_OK ? status : open_timer(s, error);
    status = status != EZ_OK ? status : ez_servers_start(s->servers, error);
    // Last, since it has something to say: a start that fails says one line.
    return status != EZ_OK ? status : ez_store_follow(s->core.store, ez_writer_hint, s->core.writer, error);
}

// What was not delivered is in the log before the store closes. The appender, whose thread writes it, has ended. Alerts
// that wait for their group's time are told now, to receivers that answer soon.
static void stop_webhooks(server *s) {
    if (s->deliverer != NULL) {
        ez_delivery_await(s->deliverer, DELIVER_MS);
    }
    if (s->outbound != NULL) {
        ez_outbound_stop(s->outbound);
    }
    if (s->deliverer != NULL) {
        ez_delivery_stop(s->deliverer);
        while (ez_delivery_drain(s->deliverer, s->core.store)) {
        }
    }
}

static void close_server(server *s, int exit_status) {
    ez_exit_guard(STOP_MS, exit_status);
    if (s->servers != NULL) {
        ez_servers_stop(s->servers);
    }
    ez_model_sync_stop(s->model_sync);
    ez_alerting_stop_calls(&s->alerting);
    ez_oauth_stop(s->oauth);
    if (s->fleet != NULL) {
        ez_fleet_stop(s->fleet);
    }
    if (s->rpc != NULL && !ez_rpc_drain(s->rpc, DRAIN_MS)) {
        ez_log_warn("some calls were not answered in time and are dropped");
    }
    ez_timer_destroy(s->timer);
    if (s->fleet != NULL) {
        ez_fleet_tick_last(s->fleet);
    }
    ez_appender_stop(s->usage_appender);
    ez_appender_stop(s->logs_appender);
    ez_redis_stop(s->redis);
    ez_oauth_drain(s->oauth, LAND_MS);
    ez_alerting_stop(&s->alerting);
    stop_webhooks(s);
    ez_oauth_join(s->oauth);
    ez_servers_join(s->servers);
    ez_model_sync_join(s->model_sync);
    ez_core_stop(&s->core);
    ez_exit_guard(CLOSE_MS, exit_status);
    ez_rpc_close(s->rpc);
    ez_appender_destroy(s->usage_appender); // a call that the drain gave up may have tried to submit until here
    ez_appender_destroy(s->logs_appender);
    ez_bans_destroy(s->bans);
    ez_system_destroy(s->system);
    ez_redis_destroy(s->redis);
    ez_oauth_destroy(s->oauth);
    ez_usage_destroy(s->usage);
    ez_servers_destroy(s->servers); // a change that commits while the core stops waits by it
    ez_fleet_destroy(s->fleet);
    ez_alerting_destroy(&s->alerting);
    ez_import_destroy(s->import);
    ez_logs_destroy(s->logs);
    ez_error_webhook_destroy(s->error_webhook);
    ez_deliverer_destroy(s->deliverer);
    ez_model_sync_destroy(s->model_sync);
    ez_outbound_destroy(s->outbound);
    ez_audit_destroy(s->audit);
    ez_models_destroy(s->models);
    ez_routing_destroy(s->routing);
    ez_publish_close(s->events);
    ez_wipe(s->peer_token, sizeof s->peer_token);
    ez_core_close(&s->core);
}

// Every connection is a descriptor, and a data plane has two: as many as the system lets us have. Returns how many.
static long long raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    rlim_t had = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return (long long)(setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : had);
}

int ez_serve(const ez_settings *settings) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    long long descriptors = raise_descriptors();
    signal(SIGXFSZ, SIG_IGN); // a limit on file sizes is a full disk: an error, not the end

    server s = {0};
    ez_error error = EZ_ERROR_INIT;
    if (open_server(&s, settings, &error) != EZ_OK) {
        fprintf(stderr, "ezplaned: %s\n", error.message);
        close_server(&s, 1);
        return 1;
    }
    ez_rpc_start(s.rpc);
    printf("ready %s\n", ez_settings_text(settings, "EZ_RPC_URL"));
    fflush(stdout);
    ez_log_info("started", "version", ez_version, "store", ez_store_name(s.core.store), "server", s.id, "descriptors",
                EZ_LOG_INT(descriptors));
    int which = 0;
    sigwait(&signals, &which);
    ez_log_info("stopping", "signal", which == SIGINT ? "SIGINT" : "SIGTERM");
    close_server(&s, 0);
    return 0;
}
