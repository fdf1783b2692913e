// SPDX-License-Identifier: Apache-2.0
//
// Opening and closing in order. Each step leaves what it made in the core; ez_core_close takes any half of it.
//
// The awkward case: a sealing key that is missing while the store exists must not be replaced by a new one, which could
// open nothing. A new store and a lost key look alike until the store has been asked, so a key that was made here is
// taken away again where the store was sealed with another.
#include "server/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ez/v1/common.pb-c.h"
#include "proto/crypto/random.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define CONNECT_TIMEOUT_MS 10000
#define DAY_NS             86400000000000ll

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
}

static ez_status open_store(ez_core *core, const ez_settings *settings, const char *key_check, ez_error *error) {
    const char *url = ez_settings_text(settings, "EZ_STORE");
    ez_autofree char *file = NULL;
    if (url == NULL || url[0] == '\0') {
        if (asprintf(&file, "sqlite:%s/ezplane.db", ez_settings_text(settings, "EZ_HOME")) < 0) {
            return no_memory(error);
        }
        url = file;
    }
    uint64_t epoch = 0;
    while (epoch == 0) { // 0 means "none" on the wire; the top bit stays clear so that every language can hold it
        if (ez_random(&epoch, sizeof epoch) != EZ_OK) {
            return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS", "the system gives no random numbers");
        }
        epoch >>= 11; // and JSON's numbers: 53 bits
    }
    ez_store_options options = {.url = url,
                                .readers = (int)ez_settings_int(settings, "EZ_STORE_READERS"),
                                .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                .epoch = epoch,
                                .now_ns = ez_clock_wall_ns(),
                                .key_check = key_check};
    return ez_store_open(&options, &core->store, error);
}

static ez_status open_sealed_store(ez_core *core, const ez_settings *settings, ez_error *error) {
    const char *given = ez_settings_text(settings, "EZ_SECRET_KEY_FILE");
    bool is_given = given != NULL && given[0] != '\0';
    ez_autofree char *file =
        is_given ? strdup(given) : ez_home_file(ez_settings_text(settings, "EZ_HOME"), "secret.key");
    if (file == NULL) {
        return no_memory(error);
    }
    bool is_made = access(file, F_OK) != 0;
    ez_status status = ez_sealer_open(file, true, &core->sealer, error);
    if (status != EZ_OK) {
        return status;
    }
    char key_check[16];
    snprintf(key_check, sizeof key_check, "%08x", ez_sealer_key_id(core->sealer));
    ez_error why = EZ_ERROR_INIT;
    status = open_store(core, settings, key_check, &why);
    if (status != EZ_OK && is_made) {
        unlink(file);
    }
    if (status != EZ_OK && is_made && strcmp(why.reason, "SEALING_KEY_WRONG") == 0) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "SEALING_KEY_MISSING",
                            "the key this store was sealed with is missing: put it back at EZ_SECRET_KEY_FILE=%s",
                            file);
    }
    // A database that was reached at the second attempt has left the first one's words behind.
    return status != EZ_OK ? ez_error_copy(error, &why) : EZ_OK;
}

// Without a server's id there is nothing periodic, and no lease.
static ez_status open_lease(ez_core *core, const ez_settings *settings, const char *server_id, ez_error *error) {
    uint32_t ttl_ms = (uint32_t)ez_settings_int(settings, "EZ_LEASE_SECONDS") * 1000;
    return server_id != NULL ? ez_lease_create(core->store, server_id, ttl_ms, &core->lease, error) : EZ_OK;
}

static ez_status open_state(ez_core *core, const ez_settings *settings, ez_error *error) {
    ez_status status = ez_store_read_head(core->store, &core->head, error);
    if (status != EZ_OK) {
        return status;
    }
    size_t keep = (size_t)ez_settings_int(settings, "EZ_FEED_KEEP");
    ez_feed_options feed = {.epoch = core->head.epoch, .n = core->head.n, .keep = keep, .publish = core->config};
    status = ez_feed_create(&feed, &core->feed, error);
    status = status != EZ_OK ? status : ez_feed_load(core->feed, core->store, error);
    status = status != EZ_OK ? status : ez_directory_create(core->head.epoch, core->sealer, &core->directory, error);
    status = status != EZ_OK ? status : ez_directory_load(core->directory, core->store, error);
    status = status != EZ_OK ? status : ez_model_deriver_create(&core->deriver, error);
    if (status != EZ_OK) {
        return status;
    }
    uint8_t digest[32];
    uint64_t rows;
    ez_directory_digest(core->directory, digest, &rows);
    ez_feed_note_digest(core->feed, digest);
    ez_writer_options writer = {.store = core->store,
                                .directory = core->directory,
                                .feed = core->feed,
                                .sealer = core->sealer,
                                .head = &core->head,
                                .queue = (size_t)ez_settings_int(settings, "EZ_WRITE_QUEUE"),
                                .idempotency_ns = DAY_NS,
                                .derive = ez_model_derive,
                                .derive_user = core->deriver,
                                .feed_keep = keep};
    if (core->lease != NULL) {
        writer.holder = ez_lease_holder(core->lease);
    }
    return ez_writer_create(&writer, &core->writer, error);
}

static bool has_admin_tokens(const ez_core *core) {
    return ez_directory_count(core->directory, EZ__V1__KIND__KIND_ADMIN_TOKEN) > 0;
}

// A first admin token of our own: in its file before it is in the store, or a crash in between would leave a store that
// nobody may change.
static ez_status make_first_token(const char *home, char token[EZ_TOKEN_TEXT_MAX], ez_error *error) {
    if (ez_token_make("eza_", token) != EZ_OK) {
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS", "the system gives no random numbers");
    }
    char line[EZ_TOKEN_TEXT_MAX + 1];
    snprintf(line, sizeof line, "%s\n", token);
    ez_status status = ez_home_write(home, "admin.token", line, error);
    ez_wipe(line, sizeof line);
    return status;
}

// Ends with the token in its file where it counts. A store that could not say so may still have taken it: it stays.
static ez_status take_first_token(ez_core *core, const char *home, const char *token, bool shows_token,
                                  ez_error *error) {
    bool is_taken;
    ez_status status = ez_access_bootstrap(core->writer, core->directory, token, &is_taken, error);
    if (status != EZ_OK) {
        return status;
    }
    if (!is_taken) { // another server on this store was first
        ez_autofree char *file = ez_home_file(home, "admin.token");
        if (file != NULL) {
            unlink(file);
        }
    } else if (shows_token) {
        // The one time a token is shown: to whoever started the server, on its standard output, not in the log.
        printf("first admin token: %s (also in %s/admin.token)\n", token, home);
        fflush(stdout);
    }
    return EZ_OK;
}

// Makes what every store has: the namespace "default" and an admin who may call.
static ez_status first_start(ez_core *core, const ez_settings *settings, bool shows_token, ez_error *error) {
    const char *home = ez_settings_text(settings, "EZ_HOME");
    const char *given = ez_settings_text(settings, "EZ_ADMIN_TOKEN");
    bool is_taken;
    if ((given != NULL && given[0] != '\0') || has_admin_tokens(core)) {
        return ez_access_bootstrap(core->writer, core->directory, given, &is_taken, error);
    }
    char token[EZ_TOKEN_TEXT_MAX];
    ez_status status = make_first_token(home, token, error);
    status = status != EZ_OK ? status : take_first_token(core, home, token, shows_token, error);
    ez_wipe(token, sizeof token);
    return status;
}

ez_status ez_core_open_publish(const ez_settings *settings, const char *name, const char *server_id, ez_publish **out,
                               ez_error *error) {
    ez_error why = EZ_ERROR_INIT;
    if (ez_publish_open(ez_settings_text(settings, name), server_id, out, &why) == EZ_OK) {
        return EZ_OK;
    }
    return ez_error_set(error, why.code, why.reason, "%s: %s", name, why.message);
}

static ez_status open_metering(ez_core *core, ez_error *error) {
    ez_status status = ez_counters_create(&core->counters, error);
    status = status != EZ_OK ? status : ez_counters_load(core->counters, core->store, error);
    return status != EZ_OK ? status : ez_realtime_create(&core->realtime, error);
}

static ez_status open_all(ez_core *core, const ez_settings *settings, const char *server_id, char **running_url,
                          ez_error *error) {
    ez_status status = ez_home_open(ez_settings_text(settings, "EZ_HOME"), ez_settings_text(settings, "EZ_RPC_URL"),
                                    &core->home, running_url, error);
    status = status != EZ_OK ? status : open_sealed_store(core, settings, error);
    if (status == EZ_OK && server_id != NULL) {
        status = ez_core_open_publish(settings, "EZ_CONFIG_URL", server_id, &core->config, error);
    }
    status = status != EZ_OK ? status : open_lease(core, settings, server_id, error);
    status = status != EZ_OK ? status : open_state(core, settings, error);
    status = status != EZ_OK ? status : open_metering(core, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_access_options access = {.directory = core->directory, .counters = core->counters, .realtime = core->realtime};
    status = ez_access_create(&access, &core->access, error);
    return status != EZ_OK ? status : first_start(core, settings, server_id != NULL, error);
}

ez_status ez_core_open(ez_core *core, const ez_settings *settings, const char *server_id, char **running_url,
                       ez_error *error) {
    memset(core, 0, sizeof *core);
    ez_status status = open_all(core, settings, server_id, running_url, error);
    if (status != EZ_OK) {
        ez_core_close(core);
    }
    return status;
}

void ez_core_stop(ez_core *core) {
    if (core->store != NULL) {
        ez_store_unfollow(core->store);
    }
    ez_writer_stop(core->writer);
    ez_lease_stop(core->lease);
    ez_store_stop(core->store);
}

void ez_core_close(ez_core *core) {
    ez_core_stop(core);
    ez_writer_destroy(core->writer);
    ez_lease_destroy(core->lease);
    ez_access_destroy(core->access);
    ez_realtime_destroy(core->realtime);
    ez_counters_destroy(core->counters);
    ez_model_deriver_destroy(core->deriver);
    ez_directory_destroy(core->directory);
    ez_feed_destroy(core->feed);
    ez_publish_close(core->config);
    ez_store_close(core->store);
    ez_sealer_destroy(core->sealer);
    ez_home_close(core->home);
    memset(core, 0, sizeof *core);
}
