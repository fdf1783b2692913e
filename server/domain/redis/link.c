// SPDX-License-Identifier: Apache-2.0
//
// A socket, perhaps TLS over it, and hiredis's parser behind it. hiredis would do the socket too, but not with TLS
// (Debian 12 has 0.14), and not with a deadline on each wait that a stop can cut short.
//
// The awkward case: a large batch is sent while Redis answers its first commands. If neither side read, both would wait
// for ever; so sending reads as well, and the parser keeps what came.
#include "server/domain/redis/link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/crypto/seal.h"
#include "proto/runtime/clock.h"
#include "server/domain/redis/command.h"
#include "server/domain/redis/tls.h"

#define READ_BYTES     (64u << 10)
#define ERROR_SHOWN    120
#define REPLY_KEPT_MAX (64u << 20) // bytes of replies that are kept while sending

struct ez_redis_link {
    int fd;
    int wake_fd;
    ez_redis_tls *tls;
    redisReader *reader;
    size_t kept; // bytes fed while sending
    const char *shown;
    char input[READ_BYTES];
};

static ez_status away(const ez_redis_link *link, ez_error *error, const char *what, int code) {
    return ez_error_set(error, EZ_UNAVAILABLE, "REDIS_AWAY", "%s: %s%s%s", link->shown, what, code ? ": " : "",
                        code ? strerror(code) : "");
}

// ---- Waiting and moving bytes

static ez_status wait_for(ez_redis_link *link, short events, uint64_t deadline, short *got, ez_error *error) {
    for (;;) {
        uint64_t now = ez_clock_mono_ms();
        if (now >= deadline)
            return away(link, error, "no answer in time", 0);
        struct pollfd fds[2] = {{.fd = link->fd, .events = events}, {.fd = link->wake_fd, .events = POLLIN}};
        int ready = poll(fds, link->wake_fd >= 0 ? 2 : 1, (int)(deadline - now));
        if (ready < 0 && errno != EINTR)
            return away(link, error, "poll", errno);
        if (link->wake_fd >= 0 && fds[1].revents)
            return ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping");
        if (ready > 0 && fds[0].revents) {
            if (got)
                *got = fds[0].revents;
            return EZ_OK;
        }
    }
}

// As ez_redis_tls_read and _write, over whatever the link has.
static ssize_t take(ez_redis_link *link, short *events, ez_error *error) {
    if (link->tls)
        return ez_redis_tls_read(link->tls, link->input, sizeof link->input, events, error);
    ssize_t got = recv(link->fd, link->input, sizeof link->input, 0);
    if (got >= 0)
        return got;
    *events = POLLIN;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return -1;
    (void)away(link, error, "the connection broke", errno);
    return -2;
}

static ssize_t give(ez_redis_link *link, const uint8_t *data, size_t len, short *events, ez_error *error) {
    if (link->tls)
        return ez_redis_tls_write(link->tls, data, len, events, error);
    ssize_t sent = send(link->fd, data, len, MSG_NOSIGNAL);
    if (sent > 0)
        return sent;
    *events = POLLOUT;
    if (sent == 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return -1;
    (void)away(link, error, "the connection broke", errno);
    return -2;
}

// Reads what is there into the parser. *moved: something was.
static ez_status feed(ez_redis_link *link, bool *moved, short *events, ez_error *error) {
    ssize_t got = take(link, events, error);
    *moved = got > 0;
    if (got == -1)
        return EZ_OK;
    if (got == -2)
        return EZ_UNAVAILABLE;
    if (got == 0)
        return away(link, error, "the connection was closed", 0);
    link->kept += (size_t)got;
    if (link->kept > REPLY_KEPT_MAX)
        return away(link, error, "too much came back", 0);
    if (redisReaderFeed(link->reader, link->input, (size_t)got) != REDIS_OK)
        return away(link, error, "what came back is not Redis's protocol", 0);
    return EZ_OK;
}

ez_status ez_redis_link_send(ez_redis_link *link, const ez_buf *commands, ez_error *error) {
    if (commands->overflow)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REDIS_BATCH", "a batch for Redis is too large");
    uint64_t deadline = ez_clock_mono_ms() + EZ_REDIS_REPLY_MS;
    for (size_t at = 0; at < commands->len;) {
        short events = POLLOUT, got = 0;
        ssize_t sent = give(link, commands->data + at, commands->len - at, &events, error);
        if (sent == -2)
            return EZ_UNAVAILABLE;
        if (sent == 0)
            return away(link, error, "the connection was closed", 0);
        if (sent > 0) {
            at += (size_t)sent;
            deadline = ez_clock_mono_ms() + EZ_REDIS_REPLY_MS;
            continue;
        }
        ez_status status = wait_for(link, (short)(events | POLLIN), deadline, &got, error);
        bool moved = (got & POLLIN) != 0;
        while (status == EZ_OK && moved && (got & POLLIN))
            status = feed(link, &moved, &events, error);
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

ez_status ez_redis_link_receive(ez_redis_link *link, unsigned extra_ms, redisReply **out, ez_error *error) {
    uint64_t deadline = ez_clock_mono_ms() + EZ_REDIS_REPLY_MS + extra_ms;
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(link->reader, &reply) != REDIS_OK)
            return away(link, error, "what came back is not Redis's protocol", 0);
        if (reply) {
            link->kept = 0;
            *out = reply;
            return EZ_OK;
        }
        short events = POLLIN;
        bool moved;
        ez_status status = feed(link, &moved, &events, error);
        if (status == EZ_OK && !moved)
            status = wait_for(link, events, deadline, NULL, error);
        if (status != EZ_OK)
            return status;
    }
}

// ---- Words

void ez_redis_error_text(const redisReply *reply, char *out, size_t size) {
    const char *text = reply->str ? reply->str : "";
    const char *quoted = strstr(text, ", with args");
    size_t len = quoted ? (size_t)(quoted - text) : strlen(text);
    snprintf(out, size, "%.*s", (int)(len < ERROR_SHOWN ? len : ERROR_SHOWN), text);
    for (char *at = out; *at; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            *at = '?';
}

ez_status ez_redis_refused(const redisReply *reply, ez_error *error) {
    char text[ERROR_SHOWN + 1];
    ez_redis_error_text(reply, text, sizeof text);
    bool is_full = strncmp(text, "OOM ", 4) == 0;
    return ez_error_set(error, EZ_UNAVAILABLE, is_full ? "REDIS_FULL" : "REDIS_REFUSED", "Redis says: %s", text);
}

ez_status ez_redis_link_ask(ez_redis_link *link, const ez_buf *commands, size_t count, redisReply **out,
                            ez_error *error) {
    ez_status status = ez_redis_link_send(link, commands, error);
    bool is_refused = false;
    for (size_t i = 0; i < count && status == EZ_OK; i++) {
        ez_redis_autofree redisReply *reply = NULL;
        status = ez_redis_link_receive(link, 0, &reply, error);
        if (status != EZ_OK)
            return status;
        if (reply->type == REDIS_REPLY_ERROR && !is_refused) {
            is_refused = true;
            (void)ez_redis_refused(reply, error);
        } else if (i + 1 == count && out && !is_refused) {
            *out = reply;
            reply = NULL;
        }
    }
    return is_refused ? EZ_UNAVAILABLE : status;
}

// ---- Connecting

static ez_status finish_connect(ez_redis_link *link, uint64_t deadline, ez_error *error) {
    ez_status status = wait_for(link, POLLOUT, deadline, NULL, error);
    int code = 0;
    socklen_t size = sizeof code;
    if (status == EZ_OK && getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0)
        code = errno;
    return status == EZ_OK && code ? away(link, error, "can't connect", code) : status;
}

static ez_status connect_one(ez_redis_link *link, const struct addrinfo *address, uint64_t deadline, ez_error *error) {
    int one = 1;
    link->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return away(link, error, "no socket", errno);
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    ez_status status = EZ_OK;
    if (connect(link->fd, address->ai_addr, address->ai_addrlen) != 0)
        status =
            errno == EINPROGRESS ? finish_connect(link, deadline, error) : away(link, error, "can't connect", errno);
    if (status != EZ_OK) {
        close(link->fd);
        link->fd = -1;
    }
    return status;
}

static ez_status connect_any(ez_redis_link *link, const ez_redis_url *url, uint64_t deadline, ez_error *error) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int code = getaddrinfo(url->host, url->port, &hints, &list);
    if (code)
        return ez_error_set(error, EZ_UNAVAILABLE, "REDIS_AWAY", "%s: %s", url->shown, gai_strerror(code));
    ez_status status = EZ_UNAVAILABLE;
    for (const struct addrinfo *at = list; at && status != EZ_OK; at = at->ai_next)
        status = connect_one(link, at, deadline, error);
    freeaddrinfo(list);
    return status;
}

// AUTH and SELECT. What Redis says to AUTH is shown by its first word alone.
static ez_status introduce(ez_redis_link *link, const ez_redis_url *url, ez_error *error) {
    ez_buf commands;
    ez_buf_init(&commands, 4096);
    size_t count = 1;
    bool has_auth = url->password[0] || url->user[0];
    if (has_auth) {
        ez_command_begin(&commands, url->user[0] ? 3 : 2);
        ez_command_text(&commands, "AUTH");
        if (url->user[0])
            ez_command_text(&commands, url->user);
        ez_command_text(&commands, url->password);
        count++;
    }
    ez_command_begin(&commands, 2);
    ez_command_text(&commands, "SELECT");
    ez_command_int(&commands, url->database);
    ez_status status = ez_redis_link_send(link, &commands, error);
    if (commands.data)
        ez_wipe(commands.data, commands.cap);
    ez_buf_fini(&commands);
    bool is_refused = false;
    for (size_t i = 0; i < count && status == EZ_OK; i++) {
        ez_redis_autofree redisReply *reply = NULL;
        status = ez_redis_link_receive(link, 0, &reply, error);
        if (status != EZ_OK || is_refused || reply->type != REDIS_REPLY_ERROR)
            continue;
        is_refused = true;
        if (has_auth && i == 0)
            ez_error_set(error, EZ_UNAVAILABLE, "REDIS_LOGIN", "%s: the user or password is refused (%.*s)",
                         link->shown, (int)strcspn(reply->str, " "), reply->str);
        else
            ez_error_set(error, EZ_UNAVAILABLE, "REDIS_LOGIN", "%s: database %d can't be used (%.*s)", link->shown,
                         url->database, (int)strcspn(reply->str, " "), reply->str);
    }
    return is_refused ? EZ_UNAVAILABLE : status;
}

ez_status ez_redis_link_create(const ez_redis_link_options *options, ez_redis_link **out, ez_error *error) {
    ez_redis_link *link = calloc(1, sizeof *link);
    if (!link)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a connection to Redis");
    link->fd = -1;
    link->wake_fd = options->wake_fd;
    link->shown = options->url->shown;
    link->reader = redisReaderCreate();
    ez_status status =
        link->reader ? EZ_OK
                     : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a connection to Redis");
    if (status == EZ_OK)
        status = connect_any(link, options->url, ez_clock_mono_ms() + EZ_REDIS_CONNECT_MS, error);
    if (status == EZ_OK && options->url->is_tls)
        status = ez_redis_tls_create(link->fd, options->url->host, options->ca_file, &link->tls, error);
    if (status == EZ_OK)
        status = introduce(link, options->url, error);
    if (status != EZ_OK) {
        ez_redis_link_destroy(link);
        return status;
    }
    *out = link;
    return EZ_OK;
}

int ez_redis_link_fd(const ez_redis_link *link) {
    return link->fd;
}

void ez_redis_link_destroy(ez_redis_link *link) {
    if (!link)
        return;
    ez_redis_tls_destroy(link->tls);
    if (link->fd >= 0)
        close(link->fd);
    if (link->reader)
        redisReaderFree(link->reader);
    ez_wipe(link->input, sizeof link->input);
    free(link);
}
