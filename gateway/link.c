// SPDX-License-Identifier: Apache-2.0
//
// PAUSED → DIALING → GREETING → UP, and from each of the last three back to PAUSED. One timer serves the pause and the
// time that dialling and greeting may take. Writes of one turn of the loop leave in one system call, since libevent
// writes when it next waits. The awkward case: a peer that is no calls socket greets otherwise or not at all; the log
// says so once, until a connection works again.
#include "gateway/link.h"

#include <arpa/inet.h>
#include <endian.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/runtime/frame.h"
#include "proto/runtime/log.h"

#define PAUSE_MIN_MS  100
#define PAUSE_MAX_MS  1000
#define GREET_MS      3000 // to connect and greet
#define GREET_ELSE_MS 700  // … where there is another core to go to
#define UNWRITTEN     (256u << 10)
#define HOST_MAX      256
#define GREETING_LEN  8
#define LENGTH_LEN    8
#define ID_LEN        4
#define HEAD_MAX      (LENGTH_LEN + ID_LEN)
#define EVENT_SLACK   1024
// A peer that is gone without a word is noticed after 25 s also where nothing is sent to it.
#define KEEP_IDLE_S     10
#define KEEP_INTERVAL_S 5
#define KEEP_COUNT      3

typedef enum link_state {
    LINK_PAUSED,
    LINK_DIALING,
    LINK_GREETING,
    LINK_UP,
} link_state;

struct ez_link {
    struct event_base *base;
    struct evdns_base *dns; // only where the host is a name
    struct event *timer;
    struct bufferevent *bufferevent; // NULL while paused
    const ez_link_protocol *protocol;
    const ez_link_events *events;
    void *arg;
    link_state state;
    long pause_ms;
    uint64_t given; // bytes put into this connection's output
    bool has_complained;
    unsigned core, cores;
    struct {
        uint16_t port;
        char host[HOST_MAX];
    } targets[EZ_LINK_CORES_MAX];
};

const ez_link_protocol ez_link_req = {
    .own = 0x30, .peer = 0x31, .has_id = true, .moves_on = true, .body_max = EZ_CALL_MAX, .setting = "EZ_RPC_URL"};
const ez_link_protocol ez_link_sub = {
    .own = 0x21, .peer = 0x20, .body_max = EZ_EVENT_MAX + EVENT_SLACK, .setting = "EZ_EVENTS_URL"};

static void make_greeting(uint8_t protocol, uint8_t out[GREETING_LEN]) {
    const uint8_t made[GREETING_LEN] = {0, 'S', 'P', 0, 0, protocol, 0, 0};
    memcpy(out, made, sizeof made);
}

static void set_timer(ez_link *link, long ms) {
    struct timeval in = {ms / 1000, ms % 1000 * 1000};
    (void)event_add(link->timer, &in);
}

// The pause grows with each round that found no core.
static void pause_link(ez_link *link) {
    link->state = LINK_PAUSED;
    set_timer(link, link->pause_ms);
    if (link->protocol->moves_on)
        link->core = (link->core + 1) % link->cores;
    if (link->core == 0 || !link->protocol->moves_on)
        link->pause_ms = link->pause_ms * 2 < PAUSE_MAX_MS ? link->pause_ms * 2 : PAUSE_MAX_MS;
}

static void complain(ez_link *link, const char *why) {
    if (!link->has_complained)
        ez_log_warn("there is no connection to the core; trying on", "setting", link->protocol->setting, "host",
                    link->targets[link->core].host, "port", EZ_LOG_INT(link->targets[link->core].port), "why", why);
    link->has_complained = true;
}

// Ends the connection, whatever it was at.
static void fail(ez_link *link, const char *why) {
    bool was_up = link->state == LINK_UP;
    complain(link, why);
    link->state = LINK_PAUSED;
    if (was_up)
        link->events->down(link->arg); // reads ez_link_written
    if (link->bufferevent)
        bufferevent_free(link->bufferevent);
    link->bufferevent = NULL;
    pause_link(link);
}

static void come_up(ez_link *link) {
    (void)event_del(link->timer);
    link->state = LINK_UP;
    link->pause_ms = PAUSE_MIN_MS;
    if (link->has_complained)
        ez_log_info("connected to the core", "setting", link->protocol->setting, "host", link->targets[link->core].host,
                    "port", EZ_LOG_INT(link->targets[link->core].port));
    link->has_complained = false;
    link->events->up(link->arg);
}

static bool read_greeting(ez_link *link, struct evbuffer *in) {
    uint8_t got[GREETING_LEN], wanted[GREETING_LEN];
    make_greeting(link->protocol->peer, wanted);
    if (evbuffer_get_length(in) < sizeof got)
        return false;
    (void)evbuffer_remove(in, got, sizeof got);
    if (memcmp(got, wanted, sizeof got) != 0) {
        fail(link, "who answers there does not speak the protocol of that socket of the core");
        return false;
    }
    come_up(link);
    return true;
}

// False: no whole message is there, or the connection was ended.
static bool read_message(ez_link *link, struct evbuffer *in) {
    const ez_link_protocol *protocol = link->protocol;
    size_t id_len = protocol->has_id ? ID_LEN : 0, head_len = LENGTH_LEN + id_len;
    uint8_t head[HEAD_MAX] = {0};
    uint64_t len;
    uint32_t id;
    if (evbuffer_copyout(in, head, head_len) < (ev_ssize_t)head_len)
        return false;
    memcpy(&len, head, sizeof len);
    memcpy(&id, head + sizeof len, sizeof id);
    len = be64toh(len);
    if (len < id_len || len - id_len > protocol->body_max) {
        fail(link, "the core sent a message of a length that none has there");
        return false;
    }
    size_t whole = LENGTH_LEN + (size_t)len;
    if (evbuffer_get_length(in) < whole) {
        bufferevent_setwatermark(link->bufferevent, EV_READ, whole, 0);
        return false;
    }
    const uint8_t *at = evbuffer_pullup(in, (ev_ssize_t)whole);
    if (!at) {
        fail(link, "no memory for a message");
        return false;
    }
    link->events->message(link->arg, ntohl(id), at + head_len, whole - head_len);
    (void)evbuffer_drain(in, whole);
    return true;
}

static void on_read(struct bufferevent *bufferevent, void *arg) {
    ez_link *link = arg;
    struct evbuffer *in = bufferevent_get_input(bufferevent);
    if (link->state == LINK_GREETING && !read_greeting(link, in))
        return;
    bufferevent_setwatermark(bufferevent, EV_READ, 0, 0);
    while (read_message(link, in))
        ;
}

static void on_write(struct bufferevent *bufferevent, void *arg) {
    (void)bufferevent;
    ez_link *link = arg;
    if (link->state == LINK_UP && link->events->drained)
        link->events->drained(link->arg);
}

static void greet(ez_link *link) {
    static const int on = 1, idle = KEEP_IDLE_S, interval = KEEP_INTERVAL_S, count = KEEP_COUNT;
    int fd = bufferevent_getfd(link->bufferevent);
    uint8_t greeting[GREETING_LEN];
    make_greeting(link->protocol->own, greeting);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    link->state = LINK_GREETING;
    link->given = GREETING_LEN;
    if (bufferevent_write(link->bufferevent, greeting, sizeof greeting) != 0 ||
        bufferevent_enable(link->bufferevent, EV_READ | EV_WRITE) != 0)
        fail(link, "no memory for the connection");
}

static void on_event(struct bufferevent *bufferevent, short what, void *arg) {
    ez_link *link = arg;
    if (what & BEV_EVENT_CONNECTED) {
        greet(link);
        return;
    }
    int dns = bufferevent_socket_get_dns_error(bufferevent);
    int error = EVUTIL_SOCKET_ERROR();
    if (what & BEV_EVENT_EOF)
        fail(link, "the core ended it");
    else if (dns != 0)
        fail(link, evutil_gai_strerror(dns));
    else
        fail(link, error != 0 ? evutil_socket_error_to_string(error) : "it broke");
}

static void dial(ez_link *link) {
    struct sockaddr_storage numeric;
    int len = sizeof numeric;
    link->state = LINK_DIALING;
    link->bufferevent = bufferevent_socket_new(link->base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!link->bufferevent) {
        fail(link, "no memory for the connection");
        return;
    }
    set_timer(link, link->cores > 1 ? GREET_ELSE_MS : GREET_MS);
    const char *host = link->targets[link->core].host;
    uint16_t port = link->targets[link->core].port;
    bufferevent_setcb(link->bufferevent, on_read, on_write, on_event, link);
    int failed;
    if (evutil_parse_sockaddr_port(host, (struct sockaddr *)&numeric, &len) == 0) {
        if (numeric.ss_family == AF_INET)
            ((struct sockaddr_in *)&numeric)->sin_port = htons(port);
        else
            ((struct sockaddr_in6 *)&numeric)->sin6_port = htons(port);
        failed = bufferevent_socket_connect(link->bufferevent, (struct sockaddr *)&numeric, len);
    } else {
        failed = bufferevent_socket_connect_hostname(link->bufferevent, link->dns, AF_UNSPEC, host, port);
    }
    if (failed && link->state == LINK_DIALING)
        fail(link, "it can't be dialled");
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    ez_link *link = arg;
    if (link->state == LINK_PAUSED)
        dial(link);
    else if (link->state != LINK_UP)
        fail(link, "it takes too long");
}

// One of the URLs, len bytes of it.
static ez_status parse_url(ez_link *link, const char *url, size_t url_len, ez_error *error) {
    static const char scheme[] = "tcp://";
    const char *host = url + sizeof scheme - 1, *end = url + url_len;
    bool is_tcp = url_len > sizeof scheme - 1 && strncmp(url, scheme, sizeof scheme - 1) == 0;
    const char *colon = is_tcp ? memrchr(host, ':', (size_t)(end - host)) : NULL;
    size_t len = colon ? (size_t)(colon - host) : 0;
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    bool is_number = digits > 0 && digits <= 5 && colon + 1 + digits == end;
    unsigned long port = is_number ? strtoul(colon + 1, NULL, 10) : 0;
    bool is_bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';
    bool is_host = len > 0 && len < HOST_MAX && (is_bracketed || !memchr(host, ':', len));
    if (!is_host || port == 0 || port > UINT16_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_INVALID",
                            "%s: \"%.*s\" can't be dialled; write tcp://HOST:PORT or tcp://[IPV6]:PORT",
                            link->protocol->setting, (int)(url_len < 200 ? url_len : 200), url);
    if (link->cores == EZ_LINK_CORES_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_INVALID", "%s names more than %d cores",
                            link->protocol->setting, EZ_LINK_CORES_MAX);
    memcpy(link->targets[link->cores].host, host + is_bracketed, len - 2u * is_bracketed);
    link->targets[link->cores++].port = (uint16_t)port;
    return EZ_OK;
}

static ez_status parse_urls(ez_link *link, const char *urls, ez_error *error) {
    ez_status status = EZ_OK;
    do {
        size_t len = strcspn(urls, ",");
        status = parse_url(link, urls, len, error);
        urls += len;
    } while (status == EZ_OK && *urls++ == ',');
    return status;
}

static bool is_numeric(const char *host) {
    struct sockaddr_storage ignored;
    int len = sizeof ignored;
    return evutil_parse_sockaddr_port(host, (struct sockaddr *)&ignored, &len) == 0;
}

ez_status ez_link_open(struct event_base *base, const char *urls, const ez_link_protocol *protocol,
                       const ez_link_events *events, void *arg, ez_link **out, ez_error *error) {
    ez_link *made = calloc(1, sizeof *made);
    if (!made)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a connection to the core");
    *made = (ez_link){.base = base, .protocol = protocol, .events = events, .arg = arg, .pause_ms = PAUSE_MIN_MS};
    ez_status status = parse_urls(made, urls, error);
    if (status == EZ_OK) {
        made->timer = event_new(base, -1, 0, on_timer, made);
        bool has_name = false;
        for (unsigned i = 0; i < made->cores; i++)
            has_name = has_name || !is_numeric(made->targets[i].host);
        if (has_name)
            made->dns = evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (!made->timer)
            status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a connection to the core");
    }
    if (status != EZ_OK) {
        ez_link_close(made);
        return status;
    }
    set_timer(made, 0);
    *out = made;
    return EZ_OK;
}

void ez_link_close(ez_link *link) {
    if (!link)
        return;
    if (link->bufferevent)
        bufferevent_free(link->bufferevent);
    if (link->dns)
        evdns_base_free(link->dns, 0);
    if (link->timer)
        event_free(link->timer);
    free(link);
}

bool ez_link_is_up(const ez_link *link) {
    return link->state == LINK_UP;
}

unsigned ez_link_cores(const ez_link *link) {
    return link->cores;
}

unsigned ez_link_core(const ez_link *link) {
    return link->core;
}

void ez_link_use(ez_link *link, unsigned core) {
    if (core == link->core)
        return;
    bool was_up = link->state == LINK_UP;
    link->state = LINK_PAUSED;
    if (was_up)
        link->events->down(link->arg);
    if (link->bufferevent)
        bufferevent_free(link->bufferevent);
    link->bufferevent = NULL;
    link->core = core;
    link->pause_ms = PAUSE_MIN_MS;
    set_timer(link, 0);
}

void ez_link_drop(ez_link *link, const char *why) {
    if (link->bufferevent)
        fail(link, why);
}

static size_t unwritten(const ez_link *link) {
    return link->bufferevent ? evbuffer_get_length(bufferevent_get_output(link->bufferevent)) : 0;
}

bool ez_link_has_room(const ez_link *link) {
    return unwritten(link) < UNWRITTEN;
}

bool ez_link_send(ez_link *link, uint32_t id, const void *body, size_t len, uint64_t *offset) {
    uint8_t head[HEAD_MAX];
    uint64_t wire_len = htobe64(len + sizeof id);
    uint32_t wire_id = htonl(id);
    if (link->state != LINK_UP)
        return false;
    struct evbuffer *output = bufferevent_get_output(link->bufferevent);
    memcpy(head, &wire_len, sizeof wire_len);
    memcpy(head + sizeof wire_len, &wire_id, sizeof wire_id);
    if (evbuffer_expand(output, sizeof head + len) != 0) // so that no part of a message can be added alone
        return false;
    (void)evbuffer_add(output, head, sizeof head);
    (void)evbuffer_add(output, body, len);
    *offset = link->given;
    link->given += sizeof head + len;
    return true;
}

uint64_t ez_link_written(const ez_link *link) {
    return link->given - unwritten(link);
}
