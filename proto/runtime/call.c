// SPDX-License-Identifier: Apache-2.0
//
// What a handler does to its call: fill the reply, or fill the error. The reply's buffer belongs to the call; one that
// does not fit becomes the call's error, so that the caller gets words instead of a dropped frame.
#include "proto/runtime/call.h"

#include <stdarg.h>

#define REPLY_MAX (EZ_CALL_MAX - EZ_REPLY_ROOM)

static ez_status too_large(ez_call *call, size_t size) {
    return ez_error_set(&call->error, EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE",
                        "the reply would have %zu bytes, %u can be sent: ask for a smaller page", size, REPLY_MAX);
}

static ez_status no_memory(ez_call *call) {
    return ez_error_set(&call->error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the reply; try again");
}

ez_status ez_call_reply(ez_call *call, const ProtobufCMessage *message) {
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > REPLY_MAX)
        return too_large(call, size);
    ez_buf_clear(&call->reply);
    call->reply.max = EZ_CALL_MAX;
    return ez_buf_pack(&call->reply, message) == EZ_OK ? EZ_OK : no_memory(call);
}

ez_status ez_call_reply_bytes(ez_call *call, const void *data, size_t len) {
    if (len > REPLY_MAX)
        return too_large(call, len);
    ez_buf_clear(&call->reply);
    call->reply.max = EZ_CALL_MAX;
    return ez_buf_append(&call->reply, data, len) == EZ_OK ? EZ_OK : no_memory(call);
}

ez_status ez_call_fail(ez_call *call, ez_status code, const char *reason, const char *format, ...) {
    va_list args;
    va_start(args, format);
    ez_error_vset(&call->error, code, reason, format, args);
    va_end(args);
    return code;
}
