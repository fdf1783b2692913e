// SPDX-License-Identifier: Apache-2.0
//
// ez_transfer: one request on its way, from submit to done. Made by whoever submits, then outbound's thread's alone.
#pragma once

#include <curl/curl.h>

#include "proto/runtime/buf.h"
#include "server/platform/outbound/outbound.h"

typedef struct ez_transfer {
    struct ez_transfer *next; // the queue's
    uint64_t deadline_ms;     // monotonic
    ez_outbound_done_fn *done;
    void *user;

    char *method, *url;
    ez_outbound_target target;
    char *proxy;             // NULL: none
    ez_outbound_target peer; // who is connected to: the target, or the proxy
    bool once;
    struct curl_slist *headers;
    uint8_t *body;
    size_t body_len;

    // In flight.
    CURL *easy; // NULL before
    const ez_outbound_allow *allow;
    unsigned let_through; // addresses that a socket was opened for
    const char *refused;  // what the last refused one is
    char refused_address[EZ_ADDRESS_TEXT_MAX];
    ez_buf head, reply;
    size_t head_seen;
    bool is_too_large;
    char curl_error[CURL_ERROR_SIZE];
} ez_transfer;

// What all transfers of a client share.
typedef struct ez_transfer_rules {
    const ez_outbound_allow *allow;
    const char *agent;          // "ezplane/1.0.0"
    const char *ca_file;        // NULL: the system's
    struct curl_slist *resolve; // NULL but in tests
} ez_transfer_rules;

// Checks and copies. Errors as ez_outbound_submit.
ez_status ez_transfer_create(const ez_outbound_allow *allow, const ez_outbound_request *request, ez_transfer **out,
                             ez_error *error) EZ_MUST_CHECK;
void ez_transfer_destroy(ez_transfer *transfer); // wipes what it held; easy must not be in a multi handle

// Makes easy, ready to be added to a multi handle.
ez_status ez_transfer_begin(ez_transfer *transfer, const ez_transfer_rules *rules, uint64_t now_ms,
                            ez_error *error) EZ_MUST_CHECK;
// Tells done how it ended, and destroys it. result: libcurl's; or error where it was never begun or was stopped (result
// is not looked at then).
void ez_transfer_finish(ez_transfer *transfer, CURLcode result, const ez_error *error);
