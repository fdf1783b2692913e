// SPDX-License-Identifier: Apache-2.0
//
// evhttp reads the first Content-Length of several, lets Content-Length stand beside chunked, takes blanks before a
// header's colon, and does not read the body of a HEAD, TRACE or unknown method at all, so that it would become the
// next request. All of that is refused here, with the connection. It also appends trailers to the headers, which is why
// a repeated header of the kinds below is refused wherever it comes from.
#include "gateway/evhttp.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/util.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

typedef struct framing {
    const char *content_length, *transfer_encoding, *host;
} framing;

// The headers that are looked at; all other ones are ignored.
typedef struct wanted {
    const char *name;
    size_t offset;
    bool in_framing;
    bool may_repeat; // a list: the first line counts
} wanted;

static const wanted headers[] = {
    {"Host", offsetof(framing, host), true, false},
    {"Content-Length", offsetof(framing, content_length), true, false},
    {"Transfer-Encoding", offsetof(framing, transfer_encoding), true, false},
    {"Authorization", offsetof(ez_http_request, authorization), false, false},
    {"Content-Type", offsetof(ez_http_request, content_type), false, false},
    {"If-Match", offsetof(ez_http_request, if_match), false, false},
    {"If-None-Match", offsetof(ez_http_request, if_none_match), false, true},
    {"Idempotency-Key", offsetof(ez_http_request, idempotency_key), false, false},
    {"X-Request-ID", offsetof(ez_http_request, request_id), false, false},
    {"traceparent", offsetof(ez_http_request, traceparent), false, true},
    {"User-Agent", offsetof(ez_http_request, user_agent), false, true},
    {"Accept-Encoding", offsetof(ez_http_request, accept_encoding), false, true},
    {"Origin", offsetof(ez_http_request, origin), false, false},
    {"Last-Event-ID", offsetof(ez_http_request, last_event_id), false, false},
    {"Access-Control-Request-Method", offsetof(ez_http_request, requested_method), false, false},
};

static bool is_token(const char *name) {
    if (!*name)
        return false;
    for (const char *c = name; *c; c++) {
        if (*c <= ' ' || *c > '~' || strchr("\"(),/:;<=>?@[\\]{}", *c))
            return false;
    }
    return true;
}

static int refuse(ez_error *error, int status, const char *text) {
    (void)ez_error_set(error, status == 501 ? EZ_UNIMPLEMENTED : EZ_INVALID_ARGUMENT, "HTTP_INVALID", "%s", text);
    return status;
}

static int take_header(const struct evkeyval *header, ez_http_request *out, framing *lengths, ez_error *error) {
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const wanted *one = &headers[i];
        if (((one->name[0] ^ header->key[0]) & 0x5f) != 0 || strcasecmp(one->name, header->key) != 0)
            continue;
        char *place = (one->in_framing ? (char *)lengths : (char *)out) + one->offset;
        const char *before;
        memcpy(&before, place, sizeof before);
        if (before && !one->may_repeat) {
            (void)ez_error_set(error, EZ_INVALID_ARGUMENT, "HTTP_INVALID", "the request has more than one %s header",
                               one->name);
            return 400;
        }
        if (!before)
            memcpy(place, &header->value, sizeof before);
        return 0;
    }
    return is_token(header->key) ? 0 : refuse(error, 400, "the request has a header whose name is malformed");
}

static int read_verb(enum evhttp_cmd_type type, ez_http_request *out) {
    switch ((int)type) {
    case EVHTTP_REQ_HEAD:
        out->is_head = true;
        out->verb = EZ_VERB_GET;
        return 0;
    case EVHTTP_REQ_GET:
        out->verb = EZ_VERB_GET;
        return 0;
    case EVHTTP_REQ_OPTIONS:
        out->is_options = true;
        return 0;
    case EVHTTP_REQ_POST:
        out->verb = EZ_VERB_POST;
        return 0;
    case EVHTTP_REQ_PUT:
        out->verb = EZ_VERB_PUT;
        return 0;
    case EVHTTP_REQ_PATCH:
        out->verb = EZ_VERB_PATCH;
        return 0;
    case EVHTTP_REQ_DELETE:
        out->verb = EZ_VERB_DELETE;
        return 0;
    default:
        return 501;
    }
}

static int check_framing(const framing *lengths, const ez_http_request *in, int minor, ez_error *error) {
    const char *length = lengths->content_length, *coding = lengths->transfer_encoding;
    if (length && coding)
        return refuse(error, 400, "the request has both Content-Length and Transfer-Encoding");
    if (length && (!*length || length[strspn(length, "0123456789")]))
        return refuse(error, 400, "the request's Content-Length is no number");
    if (coding && (minor < 1 || strcasecmp(coding, "chunked") != 0))
        return refuse(error, 501, "the request has a Transfer-Encoding other than chunked");
    if (in->is_head && (coding || (length && length[strspn(length, "0")])))
        return refuse(error, 400, "a HEAD request has no body");
    return 0;
}

int ez_evhttp_read(struct evhttp_request *req, ez_http_request *out, ez_error *error) {
    framing lengths = {0};
    *out = (ez_http_request){.remote = req->remote_host};
    if (req->major != 1 || req->minor < 0)
        return refuse(error, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    if (read_verb(req->type, out) != 0)
        return refuse(error, 501, "the request's method is not one of GET HEAD POST PUT PATCH DELETE OPTIONS");
    const struct evkeyval *header;
    TAILQ_FOREACH(header, req->input_headers, next) {
        int status = take_header(header, out, &lengths, error);
        if (status != 0)
            return status;
    }
    int status = check_framing(&lengths, out, req->minor, error);
    if (status != 0)
        return status;
    ez_uri_split(req->uri, &out->path, &out->query);
    size_t len = evbuffer_get_length(req->input_buffer);
    if (len > 0) {
        const char *body = (const char *)evbuffer_pullup(req->input_buffer, -1);
        if (!body) {
            (void)ez_error_set(error, EZ_UNAVAILABLE, "GATEWAY_BUSY", "no memory for the request's body");
            return 503;
        }
        out->body = (ez_text){body, len};
    }
    return 0;
}

void ez_evhttp_send(struct evhttp_request *req, bool is_head, const ez_http_response *response) {
    struct evkeyvalq *out = req->output_headers;
    if (response->content_type) {
        (void)evhttp_add_header(out, "Content-Type", response->content_type);
        if (response->encoding)
            (void)evhttp_add_header(out, "Content-Encoding", response->encoding);
        if (is_head) {
            char length[24];
            (void)evutil_snprintf(length, sizeof length, "%zu", response->body.len);
            (void)evhttp_add_header(out, "Content-Length", length);
        } else if (response->is_static) {
            (void)evbuffer_add_reference(req->output_buffer, response->body.data, response->body.len, NULL, NULL);
        } else {
            (void)evbuffer_add(req->output_buffer, response->body.data, response->body.len);
        }
    }
    for (unsigned i = 0; i < response->header_count; i++)
        (void)evhttp_add_header(out, response->headers[i].name, response->headers[i].value);
    if (response->close)
        (void)evhttp_add_header(out, "Connection", "close");
    evhttp_send_reply(req, response->status, ez_http_phrase(response->status), NULL);
}

void ez_evhttp_begin(struct evhttp_request *req, const ez_http_response *response, bool *is_chunked) {
    struct evbuffer *out = bufferevent_get_output(evhttp_connection_get_bufferevent(req->evcon));
    char date[64];
    *is_chunked = req->minor >= 1;
    (void)evutil_date_rfc1123(date, sizeof date, NULL);
    (void)evbuffer_add_printf(out, "HTTP/1.%d %d %s\r\nDate: %s\r\n", *is_chunked ? 1 : 0, response->status,
                              ez_http_phrase(response->status), date);
    for (unsigned i = 0; i < response->header_count; i++) {
        const ez_http_header *header = &response->headers[i];
        if (!strpbrk(header->value, "\r\n"))
            (void)evbuffer_add_printf(out, "%s: %s\r\n", header->name, header->value);
    }
    if (*is_chunked)
        (void)evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
    (void)evbuffer_add_printf(out, "Connection: close\r\n\r\n");
}
