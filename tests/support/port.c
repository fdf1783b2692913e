// SPDX-License-Identifier: Apache-2.0
//
// Free TCP ports. Asking the system for port 0 and closing it again hands out ports that an outgoing connection, or the
// next test, may get before the server binds. So they come from below the range of outgoing connections, and each is
// reserved by an abstract unix socket of its name, which every test process (tests/support/ezplane.py too) tries to
// bind: the reservation is held, on purpose, until this process ends.
#include "tests/support/port.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST 20000u
#define COUNT 10000u

static bool reserve(unsigned port) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int len = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "ez-test-port-%u", port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (bind(fd, (struct sockaddr *)&name, size) == 0)
        return true;
    close(fd);
    return false;
}

static bool is_free(unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

unsigned given_port(void) {
    static unsigned next;
    if (next == 0)
        next = (unsigned)getpid() * 31;
    for (unsigned tries = 0; tries < COUNT; tries++) {
        unsigned port = FIRST + next++ % COUNT;
        // In this order: looking binds it for a moment, which must not be just when its owner does.
        if (reserve(port) && is_free(port))
            return port;
    }
    cr_assert_fail("no free port between %u and %u", FIRST, FIRST + COUNT - 1);
    return 0;
}
