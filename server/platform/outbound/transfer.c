// SPDX-License-Identifier: Apache-2.0
//
// One request as libcurl's easy handle. All that keeps a peer from doing harm is set in configure(); the guard itself
// is open_socket, which libcurl calls with the address it is about to connect to, whatever name or spelling led there.
//
// The awkward case: a refused address looks to libcurl like one that can't be reached, and it goes on to the host's
// next one. That is right (a host may have an inner and an outer address), but the error must say what happened: only
// where no address was let through is it a refusal, which no repetition heals.
#include "server/platform/outbound/transfer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "proto/crypto/seal.h"

#define SMALL_REPLY (64u << 10) // reserved whole, so that growing leaves no copies of a token behind

// ---- Made and unmade

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for a call out");
}

static ez_status invalid(ez_error *error, const char *what) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "REQUEST_INVALID", "a call out can't be made: %s", what);
}

static bool is_method(const char *text) {
    size_t len = strlen(text);
    return len >= 1 && len <= 16 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == len;
}

static bool is_field(const ez_outbound_field *field) {
    size_t name = strlen(field->name), value = strlen(field->value);
    if (name == 0 || name + value + 3 > EZ_OUTBOUND_HEADER_MAX) {
        return false;
    }
    for (size_t i = 0; i < name; i++) {
        if (!isalnum((unsigned char)field->name[i]) && strchr("-_", field->name[i]) == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < value; i++) {
        unsigned char c = (unsigned char)field->value[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool add_line(ez_transfer *transfer, const char *line) {
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
    transfer->headers = longer != NULL ? longer : transfer->headers;
    return longer != NULL;
}

static bool add_field(ez_transfer *transfer, const ez_outbound_field *field) {
    char *line; // "Name;" is libcurl's way to send an empty one
    int len = asprintf(&line, field->value[0] != '\0' ? "%s: %s" : "%s;", field->name, field->value);
    if (len < 0) {
        return false;
    }
    bool ok = add_line(transfer, line);
    ez_wipe(line, (size_t)len);
    free(line);
    return ok;
}

static bool copy_headers(ez_transfer *transfer, const ez_outbound_request *request) {
    bool has_type = false;
    bool ok = add_line(transfer, "Expect:"); // no waiting for 100
    for (size_t i = 0; ok && i < request->header_count; i++) {
        ok = add_field(transfer, &request->headers[i]);
        has_type = has_type || strcasecmp(request->headers[i].name, "Content-Type") == 0;
    }
    return ok && (has_type || add_line(transfer, "Content-Type:"));
}

static ez_status check(const ez_outbound_request *request, ez_error *error) {
    if (!is_method(request->method)) {
        return invalid(error, "its method is none");
    }
    if (request->header_count > EZ_OUTBOUND_HEADERS) {
        return invalid(error, "it has more than 32 headers");
    }
    for (size_t i = 0; i < request->header_count; i++) {
        if (!is_field(&request->headers[i])) {
            return invalid(error, "a header has a line break, a control character or more than 8192 bytes");
        }
    }
    if (request->body_len > EZ_OUTBOUND_BODY_MAX) {
        return invalid(error, "its body has more than 4 MiB");
    }
    return EZ_OK;
}

// Who is to be connected to. A proxy sees what it is sent, so only what is encrypted goes through one.
static ez_status judge_peer(const ez_outbound_allow *allow, const ez_outbound_request *request,
                            const ez_outbound_target *target, ez_outbound_target *peer, ez_error *error) {
    *peer = *target;
    if (request->proxy == NULL || request->proxy[0] == '\0') {
        return EZ_OK;
    }
    if (!target->is_https) {
        return invalid(error, "http does not go through a proxy: use https");
    }
    ez_status status = ez_outbound_read_url(request->proxy, peer, error);
    return status != EZ_OK ? status : ez_outbound_check_target(allow, peer, error);
}

ez_status ez_transfer_create(const ez_outbound_allow *allow, const ez_outbound_request *request, ez_transfer **out,
                             ez_error *error) {
    ez_outbound_target target, peer;
    ez_status status = ez_outbound_read_url(request->url, &target, error);
    status = status != EZ_OK ? status : ez_outbound_check_target(allow, &target, error);
    status = status != EZ_OK ? status : judge_peer(allow, request, &target, &peer, error);
    status = status != EZ_OK ? status : check(request, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_transfer *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return no_memory(error);
    }
    made->done = request->done;
    made->user = request->user;
    made->target = target;
    made->peer = peer;
    made->once = request->once;
    bool has_proxy = request->proxy != NULL && request->proxy[0] != '\0';
    made->proxy = has_proxy ? strdup(request->proxy) : NULL;
    made->method = strdup(request->method);
    made->url = strdup(request->url);
    made->body = malloc(request->body_len + 1);
    made->body_len = request->body_len;
    size_t max = request->max_reply != 0 ? request->max_reply : EZ_OUTBOUND_REPLY;
    ez_buf_init(&made->reply, max < EZ_OUTBOUND_REPLY_MAX ? max : EZ_OUTBOUND_REPLY_MAX);
    ez_buf_init(&made->head, 2 * EZ_OUTBOUND_REPLY_HEAD);
    if (made->method == NULL || made->url == NULL || made->body == NULL || (has_proxy && made->proxy == NULL) ||
        !copy_headers(made, request)) {
        ez_transfer_destroy(made);
        return no_memory(error);
    }
    if (request->body_len > 0) {
        memcpy(made->body, request->body, request->body_len);
    }
    *out = made;
    return EZ_OK;
}

static void wipe_text(char *text) {
    if (text != NULL) {
        ez_wipe(text, strlen(text));
    }
}

static void wipe_buf(ez_buf *buf) {
    if (buf->data != NULL) {
        ez_wipe(buf->data, buf->cap);
    }
    ez_buf_fini(buf);
}

void ez_transfer_destroy(ez_transfer *transfer) {
    if (transfer == NULL) {
        return;
    }
    curl_easy_cleanup(transfer->easy);
    for (struct curl_slist *at = transfer->headers; at != NULL; at = at->next) {
        wipe_text(at->data);
    }
    curl_slist_free_all(transfer->headers);
    if (transfer->body != NULL) {
        ez_wipe(transfer->body, transfer->body_len);
    }
    wipe_text(transfer->url);
    free(transfer->body);
    free(transfer->proxy);
    free(transfer->url);
    free(transfer->method);
    wipe_buf(&transfer->head);
    wipe_buf(&transfer->reply);
    free(transfer);
}

// ---- libcurl's callbacks

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
    ez_transfer *transfer = user;
    ez_address peer;
    if (purpose != CURLSOCKTYPE_IPCXN || address->socktype != SOCK_STREAM ||
        !ez_address_from_socket(&address->addr, &peer, NULL)) {
        return CURL_SOCKET_BAD;
    }
    const char *fault = ez_outbound_peer_fault(transfer->allow, &transfer->peer, &peer);
    if (fault != NULL) {
        transfer->refused = fault;
        ez_address_format(&peer, transfer->refused_address);
        return CURL_SOCKET_BAD;
    }
    transfer->let_through++;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t take_body(char *data, size_t one, size_t len, void *user) {
    (void)one; // 1
    ez_transfer *transfer = user;
    size_t room = transfer->reply.max - transfer->reply.len;
    size_t kept = len <= room ? len : room;
    if (ez_buf_append(&transfer->reply, data, kept) != EZ_OK) {
        return CURL_WRITEFUNC_ERROR;
    }
    transfer->is_too_large = kept < len;
    return kept;
}

static bool keep_header(ez_buf *head, const char *line, size_t len) {
    const char *colon = memchr(line, ':', len);
    if (colon == NULL || colon == line || memchr(line, '\0', len) != NULL) {
        return true;
    }
    const char *end = line + len;
    const char *value = colon + 1;
    while (value < end && isspace((unsigned char)*value)) {
        value++;
    }
    while (end > value && isspace((unsigned char)end[-1])) {
        end--;
    }
    return ez_buf_append(head, line, (size_t)(colon - line)) == EZ_OK && ez_buf_putc(head, '\0') == EZ_OK &&
           ez_buf_append(head, value, (size_t)(end - value)) == EZ_OK && ez_buf_putc(head, '\0') == EZ_OK;
}

static size_t take_header(char *data, size_t one, size_t len, void *user) {
    (void)one;
    ez_transfer *transfer = user;
    transfer->head_seen += len;
    if (transfer->head_seen > EZ_OUTBOUND_REPLY_HEAD) { // without end, perhaps: interim replies count as well
        transfer->is_too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) { // what came before was interim
        ez_buf_clear(&transfer->head);
        return len;
    }
    return keep_header(&transfer->head, data, len) ? len : CURL_WRITEFUNC_ERROR;
}

// ---- Begun

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK)

static bool configure_request(CURL *easy, ez_transfer *transfer) {
    bool ok = true;
    SET(CURLOPT_URL, transfer->url);
    SET(CURLOPT_HTTPHEADER, transfer->headers);
    if (strcmp(transfer->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (transfer->body_len > 0 || strcmp(transfer->method, "GET") != 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body_len);
        SET(CURLOPT_POSTFIELDS, (char *)transfer->body);
        SET(CURLOPT_CUSTOMREQUEST, transfer->method);
    }
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->curl_error);
    SET(CURLOPT_PRIVATE, transfer);
    return ok;
}

static bool configure_guard(CURL *easy, ez_transfer *transfer, const ez_transfer_rules *rules) {
    bool ok = true;
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_PROTOCOLS_STR, transfer->target.is_https ? "https" : "http");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, transfer->proxy != NULL ? transfer->proxy : ""); // "": also none of the environment's
    SET(CURLOPT_HTTPPROXYTUNNEL, transfer->proxy != NULL ? 1L : 0L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); // a proxy's reply is not the target's
    SET(CURLOPT_FRESH_CONNECT, transfer->once ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, transfer->once ? 1L : 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    // Over HTTP/2 the library itself sends again what a peer refused (REFUSED_STREAM).
    SET(CURLOPT_HTTP_VERSION, transfer->once ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
    if (rules->ca_file != NULL) {
        SET(CURLOPT_CAINFO, rules->ca_file);
        SET(CURLOPT_CAPATH, (char *)NULL);
        SET(CURLOPT_PROXY_CAINFO, rules->ca_file);
        SET(CURLOPT_PROXY_CAPATH, (char *)NULL);
    }
    if (rules->resolve != NULL) {
        SET(CURLOPT_RESOLVE, rules->resolve);
    }
    SET(CURLOPT_USERAGENT, rules->agent);
    SET(CURLOPT_NOSIGNAL, 1L);
    // A resolver that hangs must not hold up everybody else's calls, nor the end of the program.
    SET(CURLOPT_QUICK_EXIT, 1L);
    return ok;
}

ez_status ez_transfer_begin(ez_transfer *transfer, const ez_transfer_rules *rules, uint64_t now_ms, ez_error *error) {
    CURL *easy = transfer->easy = curl_easy_init();
    transfer->allow = rules->allow;
    long left = transfer->deadline_ms > now_ms ? (long)(transfer->deadline_ms - now_ms) : 1;
    size_t small = transfer->reply.max < SMALL_REPLY ? transfer->reply.max : SMALL_REPLY;
    bool ok = easy != NULL && ez_buf_reserve(&transfer->reply, small) == EZ_OK;
    ok = ok && configure_request(easy, transfer) && configure_guard(easy, transfer, rules);
    SET(CURLOPT_TIMEOUT_MS, left);
    SET(CURLOPT_CONNECTTIMEOUT_MS, left < EZ_OUTBOUND_CONNECT_MS ? left : (long)EZ_OUTBOUND_CONNECT_MS);
    return ok ? EZ_OK : no_memory(error);
}

// ---- Ended

static ez_status explain_tls(const ez_transfer *transfer, CURLcode result, ez_error *error) {
    const char *why = transfer->curl_error[0] != '\0' ? transfer->curl_error : curl_easy_strerror(result);
    bool is_certificate = result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_ISSUER_ERROR;
    return ez_error_set(error, EZ_UNAVAILABLE, is_certificate ? "CERTIFICATE_REFUSED" : "TLS_FAILED",
                        "TLS with %.100s failed: %.200s", transfer->target.host, why);
}

static ez_status explain(const ez_transfer *transfer, CURLcode result, ez_error *error) {
    const char *host = transfer->target.host;
    unsigned port = transfer->target.port;
    if (transfer->is_too_large) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE",
                            "%.100s:%u sent more than was asked for: at most %zu bytes are taken, and %u of headers",
                            host, port, transfer->reply.max, EZ_OUTBOUND_REPLY_HEAD);
    }
    if (transfer->refused != NULL && transfer->let_through == 0) {
        return ez_error_set(error, EZ_PERMISSION_DENIED, "ADDRESS_REFUSED",
                            "%.100s is at %s, which is not on the Internet (%s): the server's EZ_OUTBOUND_ALLOW does "
                            "not let it through",
                            transfer->peer.host, transfer->refused_address, transfer->refused);
    }
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return ez_error_set(error, EZ_DEADLINE_EXCEEDED, "TIMED_OUT", "%.100s:%u did not answer in time", host, port);
    case CURLE_COULDNT_RESOLVE_HOST:
        return ez_error_set(error, EZ_UNAVAILABLE, "HOST_UNKNOWN", "the host %.100s can't be resolved", host);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ez_error_set(error, EZ_UNAVAILABLE, "HOST_UNKNOWN", "the proxy %.100s can't be resolved",
                            transfer->peer.host);
    case CURLE_COULDNT_CONNECT:
        return ez_error_set(error, EZ_UNAVAILABLE, "CONNECT_FAILED", "can't connect to %.100s:%u", host, port);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
        return explain_tls(transfer, result, error);
    case CURLE_OUT_OF_MEMORY:
        return no_memory(error);
    default:
        return ez_error_set(error, EZ_UNAVAILABLE, "REPLY_BROKEN", "the reply of %.100s:%u did not come whole: %s",
                            host, port, curl_easy_strerror(result));
    }
}

// libcurl says when the connection was ready for the request, or has counted bytes of it; those that asked a proxy to
// connect do not count.
static bool was_sent(const ez_transfer *transfer) {
    curl_off_t ready_us = 0;
    long bytes = 0, connected = 0;
    if (transfer->easy == NULL) {
        return false;
    }
    curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &bytes);
    curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &connected);
    return ready_us > 0 || (bytes > 0 && (transfer->proxy == NULL || connected / 100 == 2));
}

void ez_transfer_finish(ez_transfer *transfer, CURLcode result, const ez_error *error) {
    ez_error why = EZ_ERROR_INIT;
    ez_outbound_reply reply = {.status = EZ_OK, .headers = ""};
    long http_status = 0;
    if (error != NULL) {
        reply.status = ez_error_copy(&why, error);
    } else if (result != CURLE_OK) {
        reply.status = explain(transfer, result, &why);
    }
    if (transfer->easy != NULL) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http_status);
    }
    reply.error = reply.status != EZ_OK ? &why : NULL;
    reply.was_sent = was_sent(transfer);
    reply.http_status = http_status >= 200 ? (int)http_status : 0; // an interim one is not yet a reply
    reply.body = (ez_slice){transfer->reply.data, transfer->reply.len};
    const char *headers = ez_buf_cstr(&transfer->head); // its NUL is the empty name
    reply.headers = headers != NULL ? headers : "";
    transfer->done(transfer->user, &reply);
    ez_transfer_destroy(transfer);
}

const char *ez_outbound_header(const ez_outbound_reply *reply, const char *name) {
    const char *found = NULL;
    for (const char *at = reply->headers; *at != '\0';) {
        const char *value = at + strlen(at) + 1;
        found = strcasecmp(at, name) == 0 ? value : found;
        at = value + strlen(value) + 1;
    }
    return found;
}
