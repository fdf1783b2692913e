// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets with SO_REUSEPORT. The awkward case: with it, two gateways of one user share a port in silence,
// which is wanted for a restart without a gap; a port that another program holds is refused as ever.
#include "gateway/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 1024

ez_status ez_listener_parse(const char *text, ez_listener *out, ez_error *error) {
    char host[256];
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    bool is_bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    bool is_bare_v6 = !is_bracketed && len > 0 && memchr(text, ':', len);
    bool is_port = colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
                   strlen(colon + 1) <= 5 && atoi(colon + 1) <= 65535;
    if (is_port && len < sizeof host && !is_bare_v6) {
        memcpy(host, text + is_bracketed, len - 2u * is_bracketed);
        host[len - 2u * is_bracketed] = '\0';
        if (len == 0)
            hints.ai_family = AF_INET;
        if (getaddrinfo(len ? host : NULL, colon + 1, &hints, &found) != 0)
            found = NULL;
    }
    if (!found)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_INVALID",
                            "EZ_HTTP_ADDR: \"%s\" is no address; write HOST:PORT or [IPV6]:PORT", text);
    memcpy(&out->addr, found->ai_addr, found->ai_addrlen);
    out->len = found->ai_addrlen;
    freeaddrinfo(found);
    return EZ_OK;
}

static bool set_up(int fd, ez_listener *listener) {
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); // accepted sockets inherit these two
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
           bind(fd, (struct sockaddr *)&listener->addr, listener->len) == 0 && listen(fd, BACKLOG) == 0 &&
           getsockname(fd, (struct sockaddr *)&listener->addr, &listener->len) == 0;
}

ez_status ez_listener_bind(ez_listener *listener, int *fd, ez_error *error) {
    int made = socket(listener->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0 || !set_up(made, listener)) {
        int why = errno;
        char text[128];
        if (made >= 0)
            close(made);
        ez_listener_text(listener, text, sizeof text);
        return ez_error_set(error, EZ_UNAVAILABLE, "LISTEN_FAILED", "can't listen on %s (EZ_HTTP_ADDR): %s", text,
                            strerror(why));
    }
    *fd = made;
    return EZ_OK;
}

void ez_listener_text(const ez_listener *listener, char *out, size_t size) {
    char host[64], port[8];
    if (getnameinfo((const struct sockaddr *)&listener->addr, listener->len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        (void)snprintf(out, size, "?");
    else
        (void)snprintf(out, size, listener->addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}
