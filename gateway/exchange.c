// SPDX-License-Identifier: Apache-2.0
//
// The way of one request: read, route, transcode, call, answer. While the core works evhttp reads nothing from that
// connection and frees nothing of it, so the request pointer holds until the answer. An exchange goes back to the free
// list as soon as its answer is in evhttp's buffer; what it holds onto is kept small. The awkward case: the gateway's
// own metrics, which are given also where the core, which would add its own, is away.
#include "gateway/exchange.h"

#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/event.pb-c.h"
#include "ez/v1/system.pb-c.h"
#include "gateway/cors.h"
#include "gateway/evhttp.h"
#include "gateway/gzip.h"
#include "gateway/problem.h"
#include "gateway/transcode.h"
#include "proto/crypto/random.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/log.h"
#include "proto/runtime/message.h"

#define ARENA_MAX      (64u << 20)
#define JSON_MAX       (64u << 20)
#define KEEP_MAX       (256u << 10) // memory above this is given back after the request
#define GZIP_MIN       1024
#define REQUEST_ID_LEN 24

typedef struct exchange exchange;
struct exchange {
    exchange *next; // in the free list or among those under way
    exchange *previous;
    ez_exchanger *owner;
    struct evhttp_request *req;
    ez_connection *connection;
    ez_http_request in;
    ez_transcoded call;
    ez_arena arena;
    ez_buf frame;
    uint64_t started_ns;
    char request_id[64 + 1];
    bool is_metrics;
    bool must_close;
};

struct ez_exchanger {
    ez_exchange_parts parts;
    const ez_method *get_metrics;
    exchange *free, *busy;
    unsigned count;
    ez_buf body, packed; // of the response being made
    ez_gzip *gzip;
    uint64_t id_seed, id_count;
    bool is_draining;
};

ez_status ez_exchanger_create(const ez_exchange_parts *parts, ez_exchanger **out, ez_error *error) {
    static const char metrics[] = "ez.v1.System/GetMetrics";
    ez_exchanger *made = calloc(1, sizeof *made);
    if (!made)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a loop");
    made->parts = *parts;
    made->get_metrics = ez_method_find(metrics, sizeof metrics - 1);
    ez_buf_init(&made->body, JSON_MAX);
    ez_buf_init(&made->packed, JSON_MAX);
    ez_status status = ez_gzip_create(1, &made->gzip, error);
    if (status == EZ_OK && ez_random(&made->id_seed, sizeof made->id_seed) != EZ_OK)
        status = ez_error_set(error, EZ_INTERNAL, "NO_RANDOM", "the system gives no random numbers");
    if (status != EZ_OK) {
        ez_exchanger_destroy(made);
        return status;
    }
    *out = made;
    return EZ_OK;
}

static void free_list(exchange *list) {
    while (list) {
        exchange *next = list->next;
        ez_arena_fini(&list->arena);
        ez_buf_fini(&list->frame);
        free(list);
        list = next;
    }
}

void ez_exchanger_destroy(ez_exchanger *exchanger) {
    if (!exchanger)
        return;
    free_list(exchanger->free);
    free_list(exchanger->busy);
    ez_gzip_destroy(exchanger->gzip);
    ez_buf_fini(&exchanger->body);
    ez_buf_fini(&exchanger->packed);
    free(exchanger);
}

void ez_exchanger_drain(ez_exchanger *exchanger) {
    exchanger->is_draining = true;
}

unsigned ez_exchanger_count(const ez_exchanger *exchanger) {
    return exchanger->count;
}

static void release_big(ez_buf *buf) {
    if (buf->cap > KEEP_MAX) {
        size_t max = buf->max;
        ez_buf_fini(buf);
        ez_buf_init(buf, max);
    } else {
        ez_buf_clear(buf);
    }
}

static exchange *take_exchange(ez_exchanger *owner) {
    exchange *x = owner->free;
    if (x) {
        owner->free = x->next;
    } else {
        x = calloc(1, sizeof *x);
        if (!x)
            return NULL;
        x->owner = owner;
        ez_arena_init(&x->arena, ARENA_MAX);
        ez_buf_init(&x->frame, EZ_CALL_MAX);
    }
    x->previous = NULL;
    x->next = owner->busy;
    if (owner->busy)
        owner->busy->previous = x;
    owner->busy = x;
    owner->count++;
    x->is_metrics = x->must_close = false;
    return x;
}

static void give_back(exchange *x) {
    ez_exchanger *owner = x->owner;
    if (x->previous)
        x->previous->next = x->next;
    else
        owner->busy = x->next;
    if (x->next)
        x->next->previous = x->previous;
    owner->count--;
    ez_arena_reset(&x->arena);
    release_big(&x->frame);
    x->next = owner->free;
    owner->free = x;
}

static bool is_request_id(const char *text) {
    size_t len = text ? strlen(text) : 0;
    return len > 0 && len <= 64 &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

// Unique, not secret: a random start per loop, mixed with a count.
static void set_request_id(exchange *x) {
    static const char letters[] = "0123456789abcdefghijklmnopqrstuv";
    if (is_request_id(x->in.request_id)) {
        memcpy(x->request_id, x->in.request_id, strlen(x->in.request_id) + 1);
        return;
    }
    uint64_t mixed = x->owner->id_seed + ++x->owner->id_count * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    uint64_t words[2] = {mixed ^ (mixed >> 27), x->owner->id_seed ^ x->owner->id_count};
    for (unsigned i = 0; i < REQUEST_ID_LEN; i++) {
        x->request_id[i] = letters[words[i / 12] & 31];
        words[i / 12] >>= 5;
    }
    x->request_id[REQUEST_ID_LEN] = '\0';
}

static void compress(exchange *x, ez_http_response *response) {
    ez_exchanger *owner = x->owner;
    if (response->body.len < GZIP_MIN || response->encoding)
        return;
    ez_http_response_add(response, "Vary", "Accept-Encoding");
    if (!ez_http_takes_gzip(x->in.accept_encoding))
        return;
    if (ez_gzip_write(owner->gzip, response->body, &owner->packed) != EZ_OK)
        return; // goes out as it is
    response->body = (ez_text){(const char *)owner->packed.data, owner->packed.len};
    response->encoding = "gzip";
    response->is_static = false;
}

static void log_access(const exchange *x, int status, uint64_t duration_us) {
    char path[128];
    size_t len = x->in.path.len < sizeof path - 1 ? x->in.path.len : sizeof path - 1;
    if (len > 0)
        memcpy(path, x->in.path.data, len);
    path[len] = '\0';
    ez_log_debug("request", "method", x->in.is_options ? "OPTIONS" : ez_verb_name(x->in.verb), "path", path, "status",
                 EZ_LOG_INT(status), "us", EZ_LOG_INT(duration_us), "request_id", x->request_id);
}

static void add_headers(const exchange *x, ez_http_response *response) {
    ez_http_response_add(response, "X-Request-ID", x->request_id);
    ez_http_response_add(response, "Cache-Control", response->is_static ? "no-cache" : "no-store");
    ez_http_response_add(response, "X-Content-Type-Options", "nosniff");
    ez_cors_apply(x->owner->parts.cors_origins, &x->in, response);
}

static void count_answer(const exchange *x, int status) {
    uint64_t duration_us = (ez_clock_mono_ns() - x->started_ns) / 1000;
    ez_metrics_answered(x->owner->parts.counters, status, duration_us);
    if (ez_log_enabled(EZ_LOG_DEBUG))
        log_access(x, status, duration_us);
}

// The last thing that happens to an exchange.
static void answer(exchange *x, ez_http_response *response) {
    ez_exchanger *owner = x->owner;
    if (!response->is_static)
        compress(x, response);
    else if (response->body.len >= GZIP_MIN)
        ez_http_response_add(response, "Vary", "Accept-Encoding");
    add_headers(x, response);
    response->close = x->must_close || owner->is_draining;
    count_answer(x, response->status);
    ez_connection_answer(x->connection, x->req, response->body.len, response->close);
    ez_evhttp_send(x->req, x->in.is_head, response);
    release_big(&owner->body);
    release_big(&owner->packed);
    give_back(x);
}

static void fail(exchange *x, const ez_error *error, int http_status, uint32_t retry_after_ms,
                 ez_http_response *response) {
    ez_buf_clear(&x->owner->body);
    ez_problem_write(error, http_status, retry_after_ms, x->request_id, &x->arena, &x->owner->body, response);
    answer(x, response);
}

static uint32_t retry_after(const ez_error *error) {
    return error->code == EZ_UNAVAILABLE ? 1000 : 0;
}

static void answer_metrics(exchange *x, const Ez__V1__Metrics *core) {
    ez_buf *body = &x->owner->body;
    ez_http_response response = {.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
    ez_metrics_write(x->owner->parts.metrics, body);
    if (core)
        (void)ez_buf_puts(body, core->text);
    response.body = (ez_text){(const char *)body->data, body->len};
    answer(x, &response);
}

// Instead of an answer: the connection goes on as a stream. now: where the server is.
static void stream(exchange *x, const ez_event_position *now) {
    const Ez__V1__WatchEventsRequest *request = (const Ez__V1__WatchEventsRequest *)x->call.request;
    ez_http_response response = {.status = 200};
    ez_stream_start start = {.connection = x->connection,
                             .topics = request->n_topics ? 0 : EZ_TOPIC_ALL,
                             .now = now,
                             .last_event_id = x->in.last_event_id,
                             .frame = &x->frame,
                             .timeout_ms = x->call.timeout_ms,
                             .is_safe = x->call.is_safe};
    for (size_t i = 0; i < request->n_topics; i++) {
        int topic = ez_topic_find(request->topics[i]);
        start.topics |= topic >= 0 ? 1u << topic : 0;
    }
    ez_http_response_add(&response, "Content-Type", "text/event-stream");
    ez_http_response_add(&response, "X-Accel-Buffering", "no"); // a proxy must not wait for the end
    if (x->in.is_head) {
        answer(x, &response);
        return;
    }
    add_headers(x, &response);
    count_answer(x, response.status);
    ez_evhttp_begin(x->req, &response, &start.is_chunked);
    ez_streams_start(x->owner->parts.streams, &start);
    give_back(x);
}

static ez_status check_stream(exchange *x, ez_slice message, ez_event_position *now, ez_error *error) {
    ez_status status = ez_event_position_decode(x->call.method->reply, message, &x->arena, now, error);
    if (status == EZ_OK)
        status = ez_streams_check(x->owner->parts.streams, error);
    if (status == EZ_OK && !x->connection)
        status = ez_error_set(error, EZ_UNAVAILABLE, "GATEWAY_BUSY", "no memory for a stream");
    return status;
}

// The reply's bytes → response.
static ez_status read_reply(exchange *x, const void *frame, size_t len, ez_http_response *response,
                            ez_event_position *position, uint32_t *retry_ms, ez_error *error) {
    Ez__V1__ReplyHeader *header = NULL;
    ez_slice message;
    if (ez_frame_read_reply(frame, len, &x->arena, &header, &message, error) != EZ_OK)
        return ez_error_set(error, EZ_INTERNAL, "REPLY_INVALID",
                            "the core's reply can't be read; are core and gateway of one version?");
    if (header->code != EZ__V1__CODE__CODE_OK) {
        ez_transcode_reply_error(&x->call, header, error);
        *retry_ms = header->retry_after_ms;
        return error->code;
    }
    if (x->call.method->streams)
        return check_stream(x, message, position, error);
    if (!x->is_metrics)
        return ez_transcode_reply(&x->call, &x->in, header, message, &x->arena, &x->owner->body, response, error);
    ProtobufCMessage *metrics = NULL;
    ez_status status =
        ez_message_decode_reply(x->call.method->reply, message.data, message.len, &x->arena, &metrics, error);
    x->call.request = metrics; // where answer_metrics' caller finds it
    return status;
}

static void on_reply(void *arg, const void *frame, size_t len, const ez_error *lost) {
    exchange *x = arg;
    ez_http_response response = {0};
    ez_error error = EZ_ERROR_INIT;
    ez_event_position position;
    uint32_t retry_ms = 0;
    if (lost && x->is_metrics) {
        answer_metrics(x,
                       NULL); // whatever the credential: nobody is there who could check it, and counters are no secret
        return;
    }
    if (lost) {
        fail(x, lost, 0, retry_after(lost), &response);
        return;
    }
    if (read_reply(x, frame, len, &response, &position, &retry_ms, &error) != EZ_OK) {
        response.content_type = NULL;
        fail(x, &error, 0, retry_ms ? retry_ms : retry_after(&error), &response);
    } else if (x->call.method->streams) {
        stream(x, &position);
    } else if (x->is_metrics) {
        answer_metrics(x, (const Ez__V1__Metrics *)x->call.request);
    } else {
        answer(x, &response);
    }
}

static void call_core(exchange *x) {
    ez_error error = EZ_ERROR_INIT;
    ez_http_response response = {0};
    ez_status status = ez_transcode_frame(&x->call, &x->frame, &error);
    if (status != EZ_OK) {
        fail(x, &error, 413, 0, &response);
        return;
    }
    status = ez_backend_start(x->owner->parts.backend, x->frame.data, x->frame.len, x->call.is_safe, x->call.timeout_ms,
                              on_reply, x, &error);
    if (status != EZ_OK)
        on_reply(x, NULL, 0, &error);
}

static void put_allow(exchange *x, unsigned verbs, ez_http_response *response) {
    char text[80] = "";
    for (ez_verb verb = EZ_VERB_GET; verb <= EZ_VERB_DELETE; verb++) {
        if (!(verbs & (1u << verb)))
            continue;
        strcat(text, *text ? ", " : ""); // at most 36 bytes in all
        strcat(text, verb == EZ_VERB_GET ? "GET, HEAD" : ez_verb_name(verb));
    }
    strcat(text, ", OPTIONS");
    ez_http_response_add(response, "Allow", ez_arena_strdup(&x->arena, text));
}

static void take_options(exchange *x, unsigned verbs, ez_http_response *response) {
    response->status = 204;
    if (verbs)
        put_allow(x, verbs, response);
    answer(x, response);
}

static void take_route(exchange *x) {
    ez_error error = EZ_ERROR_INIT;
    ez_http_response response = {0};
    ez_router_match match;
    ez_status status = ez_router_find(x->owner->parts.router, x->in.verb, x->in.path, &x->arena, &match, &error);
    bool is_asterisk = x->in.path.len == 0;
    if (x->in.is_options && (status == EZ_OK || status == EZ_UNIMPLEMENTED || is_asterisk)) {
        take_options(x, is_asterisk ? 0 : match.verbs, &response);
        return;
    }
    if (status == EZ_UNIMPLEMENTED) {
        put_allow(x, match.verbs, &response);
        fail(x, &error, 405, 0, &response);
        return;
    }
    bool has_body_rule = status == EZ_OK && (match.route->body || match.route->body_is_request);
    if (has_body_rule && x->in.body.len > 0 && x->in.content_type && !ez_http_is_json(x->in.content_type)) {
        (void)ez_error_set(&error, EZ_INVALID_ARGUMENT, "CONTENT_TYPE_UNSUPPORTED",
                           "the request's body must be JSON in UTF-8; send Content-Type: application/json");
        fail(x, &error, 415, 0, &response);
        return;
    }
    if (status == EZ_OK)
        status = ez_transcode_request(&match, &x->in, x->request_id, &x->arena, &x->call, &error);
    if (status != EZ_OK)
        fail(x, &error, status == EZ_RESOURCE_EXHAUSTED ? 413 : 0, 0, &response);
    else
        call_core(x);
}

static bool is_path(const exchange *x, const char *path) {
    return x->in.path.len == strlen(path) && memcmp(x->in.path.data, path, x->in.path.len) == 0;
}

static void take_metrics(exchange *x) {
    ez_error error = EZ_ERROR_INIT;
    ez_http_response response = {0};
    x->is_metrics = true;
    if (!x->owner->get_metrics)
        answer_metrics(x, NULL);
    else if (ez_transcode_own(x->owner->get_metrics, &x->in, x->request_id, &x->arena, &x->call, &error) != EZ_OK)
        fail(x, &error, 0, 0, &response);
    else
        call_core(x);
}

// The paths that are the gateway's own. False where this is none of them.
static bool take_own(exchange *x) {
    ez_http_response response = {0};
    bool is_metrics = is_path(x, "/metrics");
    bool is_page = !is_metrics && ez_pages_get(x->owner->parts.pages, x->in.path,
                                               ez_http_takes_gzip(x->in.accept_encoding), &response);
    if (!is_metrics && !is_page)
        return false;
    if (x->in.is_options) {
        take_options(x, 1u << EZ_VERB_GET, &(ez_http_response){0});
    } else if (x->in.verb != EZ_VERB_GET) {
        ez_error error = EZ_ERROR_INIT;
        response = (ez_http_response){0};
        (void)ez_error_set(&error, EZ_UNIMPLEMENTED, "METHOD_NOT_ALLOWED", "only GET is possible on this path");
        put_allow(x, 1u << EZ_VERB_GET, &response);
        fail(x, &error, 405, 0, &response);
    } else if (is_page) {
        answer(x, &response);
    } else {
        take_metrics(x);
    }
    return true;
}

void ez_exchanger_take(ez_exchanger *exchanger, struct evhttp_request *req) {
    exchange *x = take_exchange(exchanger);
    if (!x) {
        evhttp_send_error(req, 503, NULL);
        return;
    }
    x->req = req;
    x->started_ns = ez_clock_mono_ns();
    x->connection = ez_connections_find(exchanger->parts.connections, req);
    ez_connection_serve(x->connection);
    ez_error error = EZ_ERROR_INIT;
    int refused = ez_evhttp_read(req, &x->in, &error);
    set_request_id(x);
    if (refused != 0) {
        ez_http_response response = {0};
        x->must_close = true;
        fail(x, &error, refused, 0, &response);
    } else if (!take_own(x)) {
        take_route(x);
    }
}
