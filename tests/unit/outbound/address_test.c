// SPDX-License-Identifier: Apache-2.0
//
// Where addresses are, in every form in which one may come.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "server/platform/outbound/address.h"

static const struct {
    const char *text, *kind; // kind: how it begins; NULL: on the Internet
} places[] = {
    {"0.0.0.0", "unspecified"},
    {"0.1.2.3", "unspecified"},
    {"10.0.0.1", "private"},
    {"10.255.255.255", "private"},
    {"9.255.255.255", NULL},
    {"11.0.0.0", NULL},
    {"100.63.255.255", NULL},
    {"100.64.0.0", "private"},
    {"100.100.100.200", "private"},
    {"100.127.255.255", "private"},
    {"100.128.0.0", NULL},
    {"127.0.0.1", "loopback"},
    {"127.255.255.254", "loopback"},
    {"128.0.0.1", NULL},
    {"168.63.129.16", "a cloud platform"},
    {"169.253.255.255", NULL},
    {"169.254.169.254", "link-local"},
    {"169.255.0.0", NULL},
    {"172.15.255.255", NULL},
    {"172.16.0.1", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", NULL},
    {"192.0.0.192", "reserved"},
    {"192.0.2.1", "reserved"},
    {"192.167.255.255", NULL},
    {"192.168.1.1", "private"},
    {"192.169.0.0", NULL},
    {"198.17.255.255", NULL},
    {"198.18.0.1", "private"},
    {"198.19.255.255", "private"},
    {"198.20.0.0", NULL},
    {"198.51.100.7", "reserved"},
    {"203.0.113.7", "reserved"},
    {"223.255.255.255", NULL},
    {"224.0.0.1", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.1", "reserved"},
    {"255.255.255.255", "reserved"},
    {"8.8.8.8", NULL},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "reserved"},
    {"::127.0.0.1", "reserved"},
    {"::8.8.8.8", "reserved"},
    {"::ffff:127.0.0.1", "loopback"},
    {"::ffff:10.1.2.3", "private"},
    {"::ffff:169.254.169.254", "link-local"},
    {"::ffff:8.8.8.8", NULL},
    {"::ffff:0:127.0.0.1", "reserved"},
    {"64:ff9b::127.0.0.1", "loopback"},
    {"64:ff9b::10.0.0.1", "private"},
    {"64:ff9b::169.254.169.254", "link-local"},
    {"64:ff9b::8.8.8.8", NULL},
    {"64:ff9b:0:0:1::8.8.8.8", "reserved"},
    {"64:ff9b:1::8.8.8.8", "private"},
    {"100::1", "reserved"},
    {"2001::1", "reserved"}, // Teredo
    {"2001:db8::1", "reserved"},
    {"2002:7f00:1::", "loopback"},
    {"2002:a00:1::1", "private"},
    {"2002:a9fe:a9fe::", "link-local"},
    {"2002:808:808::1", NULL},
    {"2606:4700::1", NULL},
    {"2a00:1450:4001::1", NULL},
    {"3fff::1", "reserved"},
    {"4000::1", "reserved"},
    {"fc00::1", "private"},
    {"fd00:ec2::254", "private"},
    {"fe80::1", "link-local"},
    {"febf::1", "link-local"},
    {"fec0::1", "private"},
    {"ff02::1", "multicast"},
};

Test(address, knows_what_is_not_on_the_internet) {
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        ez_address address;
        cr_assert(ez_address_from_text(places[i].text, &address), "%s", places[i].text);
        const char *kind = ez_address_kind(&address), *want = places[i].kind;
        bool is_right = want == NULL ? kind == NULL : kind != NULL && strncmp(kind, want, strlen(want)) == 0;
        cr_expect(is_right, "%s: got %s, expected %s", places[i].text, kind ? kind : "public", want ? want : "public");
    }
}

Test(address, fault_52_loose_forms_are_the_address_they_mean) {
    static const char *const loopback[] = {"0x7f.1", "0x7f000001", "2130706433", "017700000001", "127.1", "0177.0.0.1"};
    ez_address want, got;
    cr_assert(ez_address_from_text("127.0.0.1", &want));
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        cr_assert(ez_address_from_loose_text(loopback[i], &got), "%s", loopback[i]);
        cr_assert_arr_eq(got.bytes, want.bytes, 16, "%s", loopback[i]);
    }
    static const char *const none[] = {"", "localhost", "1.2.3.4.5", "0x7f.1.example", "256.1.1.1", "127.0.0.1 x"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        cr_assert_not(ez_address_from_loose_text(none[i], &got), "%s", none[i]);
    }
}

Test(address, is_one_thing_however_it_came) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(8080), .sin_addr = {htonl(0x7f000001)}};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
    cr_assert_eq(inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6.sin6_addr), 1);
    ez_address four, mapped;
    uint16_t port;
    cr_assert(ez_address_from_socket((struct sockaddr *)&in, &four, &port));
    cr_assert_eq(port, 8080);
    cr_assert(ez_address_from_socket((struct sockaddr *)&in6, &mapped, NULL));
    cr_assert_arr_eq(four.bytes, mapped.bytes, 16);
    char text[EZ_ADDRESS_TEXT_MAX];
    ez_address_format(&mapped, text);
    cr_assert_str_eq(text, "127.0.0.1");
    struct sockaddr other = {.sa_family = AF_UNIX};
    cr_assert_not(ez_address_from_socket(&other, &four, NULL));
}
