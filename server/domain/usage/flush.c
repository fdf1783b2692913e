// SPDX-License-Identifier: Apache-2.0
//
// Usage.Flush: from a message to rows, and after the commit to an event and the reply. An API key's numbers are its
// group's too; a key's are its master's, unless the flush speaks of masters itself.
//
// Awkward: a key that another server made may be used and flushed here before this server has read of it. Ids are given
// in the order of commits, so one that is beyond what is known here may be such a key: then others' commits are read
// first, or the flush is refused, lest its mark moves and the numbers are lost.
//
// Awkward: which numbers are the system's. API keys tell of attempts at providers, keys and masters of clients'
// requests, and one data plane flushes both: only masters' count live, or a request would count twice.
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/wire.h"
#include "server/domain/usage/flush_rows.h"
#include "server/domain/usage/inside.h"

#define UNKNOWN_MAX 100
#define LOOK_MS     2000        // the appender waits, and all flushes with it
#define ARENA_FLUSH (96u << 20) // 150,000 items as messages and as rows

enum { F_KEY_MASTER = 2, F_KEY_UNIT = 16, F_API_KEY_GROUP = 2 };

// One flush on its way; in the call's arena.
typedef struct flush {
    const ez_directory *directory;
    ez_call *call;
    const Ez__V1__FlushUsageRequest *request;
    int64_t now_ns;
    ez_flush_rows rows;
    Ez__V1__FlushUsageResponse reply;
    Ez__V1__UsageFlushed told;
    int64_t unknown_api_keys[UNKNOWN_MAX], unknown_keys[UNKNOWN_MAX], unknown_masters[UNKNOWN_MAX];
} flush;

static void skip(flush *f, int64_t id, int64_t *list, size_t *count) {
    f->reply.skipped++;
    for (size_t i = 0; i < *count; i++)
        if (list[i] == id)
            return;
    if (*count < UNKNOWN_MAX)
        list[(*count)++] = id;
}

static int64_t number_of(const ez_entry *entry, uint32_t field) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field found = {.varint = 0};
    ez_wire_find(data.data, data.len, field, &found);
    return (int64_t)found.varint;
}

// Past the bound of a sum a flush is refused: until then a number that is too great does no harm.
static int64_t plus(int64_t a, int64_t b) {
    return b > EZ_USAGE_SUM_MAX - a ? EZ_USAGE_SUM_MAX : a + b;
}

// What says nothing but zeros is no use.
static bool is_nothing(const ez_usage_sums *sums) {
    return !sums->requests && !sums->success && !sums->failure && !sums->tokens_in && !sums->tokens_out &&
           !sums->quota_used && !sums->rate_limited;
}

static void add_row(flush *f, ez_usage_table table, int64_t id, const ez_usage_sums *sums) {
    if (is_nothing(sums))
        return;
    ez_usage_sums dated = *sums;
    dated.last_used_ns = f->now_ns;
    ez_flush_rows_add(&f->rows, table, id, &dated);
}

// ---- From the request to rows

static void add_api_keys(flush *f) {
    for (size_t i = 0; i < f->request->n_api_keys; i++) {
        const Ez__V1__ApiKeyUsage *said = f->request->api_keys[i];
        const ez_entry *entry = ez_directory_get(f->directory, KIND_API_KEY, said->id);
        if (!entry) {
            skip(f, said->id, f->unknown_api_keys, &f->reply.n_unknown_api_keys);
            continue;
        }
        ez_usage_sums sums = {.requests = said->requests, .success = said->success, .failure = said->failure};
        add_row(f, EZ_USAGE_API_KEYS, said->id, &sums);
        add_row(f, EZ_USAGE_GROUPS, number_of(entry, F_API_KEY_GROUP), &sums);
    }
}

static int64_t quota_of(const ez_entry *key, const Ez__V1__KeyUsage *said) {
    switch (number_of(key, F_KEY_UNIT)) {
    case EZ__V1__QUOTA_UNIT__QUOTA_UNIT_REQUESTS:
        return said->requests;
    case EZ__V1__QUOTA_UNIT__QUOTA_UNIT_TOKENS:
        return plus(said->tokens_in, said->tokens_out);
    default:
        return said->quota_used;
    }
}

static void add_master(flush *f, int64_t id, const ez_usage_sums *sums) {
    ez_usage_sums own = *sums;
    own.quota_used = 0; // keys have quotas, in units of their own
    add_row(f, EZ_USAGE_MASTERS, id, &own);
    f->told.requests = plus(f->told.requests, own.requests);
    f->told.failure = plus(f->told.failure, own.failure);
    f->told.tokens_in = plus(f->told.tokens_in, own.tokens_in);
    f->told.tokens_out = plus(f->told.tokens_out, own.tokens_out);
    f->told.rate_limited = plus(f->told.rate_limited, own.rate_limited);
}

static void add_keys(flush *f) {
    bool adds_masters = f->request->n_masters == 0;
    for (size_t i = 0; i < f->request->n_keys; i++) {
        const Ez__V1__KeyUsage *said = f->request->keys[i];
        const ez_entry *entry = ez_directory_get(f->directory, KIND_KEY, said->id);
        if (!entry) {
            skip(f, said->id, f->unknown_keys, &f->reply.n_unknown_keys);
            continue;
        }
        ez_usage_sums sums = {.requests = said->requests,
                              .success = said->requests > said->failure ? said->requests - said->failure : 0,
                              .failure = said->failure,
                              .tokens_in = said->tokens_in,
                              .tokens_out = said->tokens_out,
                              .quota_used = quota_of(entry, said),
                              .rate_limited = said->rate_limited};
        add_row(f, EZ_USAGE_KEYS, said->id, &sums);
        if (adds_masters)
            add_master(f, number_of(entry, F_KEY_MASTER), &sums);
    }
}

static void add_masters(flush *f) {
    for (size_t i = 0; i < f->request->n_masters; i++) {
        const Ez__V1__MasterUsage *said = f->request->masters[i];
        if (!ez_directory_get(f->directory, KIND_MASTER, said->id)) {
            skip(f, said->id, f->unknown_masters, &f->reply.n_unknown_masters);
            continue;
        }
        ez_usage_sums sums = {.requests = said->requests,
                              .success = said->requests > said->failure ? said->requests - said->failure : 0,
                              .failure = said->failure,
                              .tokens_in = said->tokens_in,
                              .tokens_out = said->tokens_out,
                              .rate_limited = said->rate_limited};
        add_master(f, said->id, &sums);
    }
}

static int64_t greatest_id(const flush *f, int kind) {
    const ez_entry *last = ez_directory_next(f->directory, kind, INT64_MAX, true);
    return last ? ez_entry_id(last) : 0;
}

// The first id that may be newer than the directory; 0: none.
static int64_t find_newer(const flush *f) {
    const Ez__V1__FlushUsageRequest *request = f->request;
    int64_t newer = 0;
    ez_directory_enter();
    int64_t api_key = greatest_id(f, KIND_API_KEY), key = greatest_id(f, KIND_KEY),
            master = greatest_id(f, KIND_MASTER);
    for (size_t i = 0; i < request->n_api_keys && !newer; i++)
        newer = request->api_keys[i]->id > api_key ? request->api_keys[i]->id : 0;
    for (size_t i = 0; i < request->n_keys && !newer; i++)
        newer = request->keys[i]->id > key ? request->keys[i]->id : 0;
    for (size_t i = 0; i < request->n_masters && !newer; i++)
        newer = request->masters[i]->id > master ? request->masters[i]->id : 0;
    ez_directory_leave();
    return newer;
}

static ez_status await_newer(flush *f, ez_writer *writer) {
    int64_t newer = find_newer(f);
    if (!newer || ez_writer_look(writer, LOOK_MS))
        return EZ_OK;
    return ez_call_fail(f->call, EZ_UNAVAILABLE, "USAGE_AHEAD",
                        "this server can't tell yet whether another one made %lld: nothing was added, repeat it with "
                        "the same sequence",
                        (long long)newer);
}

static ez_status gather(flush *f) {
    const Ez__V1__FlushUsageRequest *request = f->request;
    size_t room = 2 * request->n_api_keys + 2 * request->n_keys + request->n_masters;
    if (!ez_flush_rows_init(&f->rows, room, &f->call->arena))
        return ez_no_memory(&f->call->error);
    ez_directory_enter();
    add_api_keys(f);
    add_keys(f);
    add_masters(f);
    ez_directory_leave();
    if (!f->rows.is_too_much)
        return EZ_OK;
    return ez_call_fail(f->call, EZ_INVALID_ARGUMENT, "USAGE_TOO_LARGE",
                        "the numbers of one resource add up to more than %lld: nothing was added",
                        (long long)EZ_USAGE_SUM_MAX);
}

// ---- After the commit

static void count_rows(flush *f) {
    for (size_t i = 0; i < f->rows.count; i++) {
        f->told.keys += f->rows.rows[i].table == EZ_USAGE_KEYS;
        f->told.api_keys += f->rows.rows[i].table == EZ_USAGE_API_KEYS;
    }
}

// Of a flush that has API keys only: their attempts.
static void tell_attempts(flush *f) {
    for (size_t i = 0; i < f->rows.count; i++) {
        const ez_usage_row *row = &f->rows.rows[i];
        if (row->table != EZ_USAGE_API_KEYS)
            continue;
        f->told.requests = plus(f->told.requests, row->add.requests);
        f->told.failure = plus(f->told.failure, row->add.failure);
    }
}

static ez_status committed(void *self, ez_append *append) {
    ez_usage *usage = self;
    flush *f = append->note;
    f->reply.repeated = ez_mark_is_repeated(&append->mark);
    if (!f->reply.repeated) {
        count_rows(f);
        if (f->told.keys == 0 && f->request->n_masters == 0)
            tell_attempts(f);
        f->told.data_plane_id = append->call->principal.id;
        ez_usage_publish(usage, "stats.flush", &f->told.base, &append->call->reply);
    }
    ez_quotas_kick(usage->quotas);
    return ez_call_reply(append->call, &f->reply.base);
}

ez_status ez_handle_usage_flush(struct ez_usage *self, ez_call *call, struct ez_append *append,
                                Ez__V1__FlushUsageRequest *request) {
    ez_status status = ez_append_mark(append, request->epoch, request->sequence);
    if (status != EZ_OK)
        return status;
    call->arena.max = ARENA_FLUSH;
    flush *f = ez_arena_zalloc(&call->arena, sizeof *f);
    if (!f)
        return ez_no_memory(&call->error);
    f->directory = self->options.directory;
    f->call = call;
    f->request = request;
    f->now_ns = ez_clock_wall_ns();
    ez__v1__flush_usage_response__init(&f->reply);
    ez__v1__usage_flushed__init(&f->told);
    f->reply.unknown_api_keys = f->unknown_api_keys;
    f->reply.unknown_keys = f->unknown_keys;
    f->reply.unknown_masters = f->unknown_masters;
    status = await_newer(f, self->options.writer);
    if (status == EZ_OK)
        status = gather(f);
    append->usage = f->rows.rows;
    append->row_count = f->rows.count;
    append->committed = committed;
    append->note = f;
    return status;
}
