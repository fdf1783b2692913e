// SPDX-License-Identifier: Apache-2.0
//
// ez_call: one call as the side that answers it sees it. rpc makes it, a handler fills its reply or its error. It
// belongs to one thread at a time: handed from nng's thread to the store's with the call, and back.
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/schema.h"

#define EZ_REQUEST_ID_MAX 64
#define EZ_ACTOR_MAX      96
#define EZ_REMOTE_MAX     64
#define EZ_REPLY_ROOM     4096 // kept free of EZ_CALL_MAX for the frame's version byte, length and header

// Who calls. Names are for the audit and the log; the id decides.
typedef struct ez_principal {
    ez_scope scope;           // EZ_SCOPE_PUBLIC: nobody
    int64_t id;               // of the admin token, master or data plane
    char actor[EZ_ACTOR_MAX]; // "admin:1:first"
} ez_principal;

typedef struct ez_call {
    const ez_method *method;
    ez_call_header header; // its texts live as long as the call
    char request_id[EZ_REQUEST_ID_MAX + 1];
    char remote[EZ_REMOTE_MAX]; // peer's address; what the header says where the peer is on loopback: a gateway does
    ez_principal principal;
    uint64_t deadline_ns; // monotonic
    int64_t time_ns;      // wall clock when it arrived: what a handler calls now
    uint64_t peer;        // the pipe it came by
    // A SESSION's handler that sets it, and says OK, has its answer held until this server's live data planes have
    // acknowledged that revision, or the deadline is near; the reply's header says how many have. 0: answered at once.
    uint64_t wait_revision;
    ez_arena arena; // freed with the call
    ez_error error; // where the status is not EZ_OK
    ez_buf reply;   // the packed reply message
} ez_call;

// Packs message as the reply; the last one wins. RESOURCE_EXHAUSTED (REPLY_TOO_LARGE) past
// EZ_CALL_MAX - EZ_REPLY_ROOM bytes.
ez_status ez_call_reply(ez_call *call, const ProtobufCMessage *message) EZ_MUST_CHECK;
// Takes bytes that already are the packed reply message.
ez_status ez_call_reply_bytes(ez_call *call, const void *data, size_t len) EZ_MUST_CHECK;
// Fills the call's error and returns code.
ez_status ez_call_fail(ez_call *call, ez_status code, const char *reason, const char *format, ...) EZ_PRINTF(4, 5);

// A call whose work is done elsewhere. Its handler (effect HELD) keeps the hold and returns EZ_OK; whoever did the work
// fills the call's reply or error and calls done, exactly once, from any thread. A handler that returns an error has
// not kept it. The call and its request live until done; they belong to whoever has the hold.
typedef struct ez_hold ez_hold;
struct ez_hold {
    ez_call *call;
    void (*done)(ez_hold *hold, ez_status status);
    ez_hold *next; // the keeper's
};

// A handler as the dispatch table knows it. scene: the ez_txn of a CHANGE, the ez_reader of a QUERY, the ez_append of
// an APPEND, the ez_hold of a HELD; NULL otherwise.
typedef ez_status ez_handler(void *self, ez_call *call, void *scene, ProtobufCMessage *request);
