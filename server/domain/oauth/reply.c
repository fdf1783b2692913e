// SPDX-License-Identifier: Apache-2.0
//
// jansson keeps texts in memory of its own; they are overwritten before it is given back. The awkward case is a peer
// that packs its reply though nobody said it may.
#include "server/domain/oauth/reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "proto/crypto/seal.h"

#define DEPTH_MAX 16 // of what is wiped; tokens stand at the top

bool ez_oauth_take_text(const json_t *value, char *out, size_t size) {
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text || len == 0 || len >= size)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    memcpy(out, text, len + 1);
    return true;
}

// ---- The body

static size_t unpack(ez_slice packed, char *out) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed.data,
                       .avail_in = (uInt)packed.len,
                       .next_out = (Bytef *)out,
                       .avail_out = EZ_OAUTH_REPLY_MAX};
    if (inflateInit2(&stream, 15 + 32) != Z_OK) // gzip or zlib, as its head says
        return 0;
    int code = inflate(&stream, Z_FINISH);
    size_t made = code == Z_STREAM_END ? stream.total_out : 0;
    inflateEnd(&stream);
    return made;
}

static json_t *parse_packed(ez_slice body) {
    char *text = malloc(EZ_OAUTH_REPLY_MAX);
    size_t len = text ? unpack(body, text) : 0;
    json_t *object = len ? json_loadb(text, len, 0, NULL) : NULL;
    if (text)
        ez_wipe(text, EZ_OAUTH_REPLY_MAX);
    free(text);
    return object;
}

static json_t *parse(ez_slice body, const char *encoding) {
    if (body.len == 0 || body.len > EZ_OAUTH_REPLY_MAX)
        return NULL;
    bool is_packed = encoding && encoding[0] && strcasecmp(encoding, "identity") != 0;
    return is_packed ? parse_packed(body) : json_loadb((const char *)body.data, body.len, 0, NULL);
}

// ---- The code

// {"error": "code"}, {"error": {"code": …, "type": …}}, {"code": …}.
static void read_code(const json_t *object, char *out, size_t size) {
    const json_t *error = json_object_get(object, "error");
    if (ez_oauth_take_text(error, out, size))
        return;
    if (json_is_object(error)) {
        if (!ez_oauth_take_text(json_object_get(error, "code"), out, size))
            ez_oauth_take_text(json_object_get(error, "type"), out, size);
        return;
    }
    ez_oauth_take_text(json_object_get(object, "code"), out, size);
}

void ez_oauth_reply_init(ez_oauth_reply *reply, ez_slice body, const char *encoding) {
    *reply = (ez_oauth_reply){.object = parse(body, encoding)};
    if (!json_is_object(reply->object)) {
        json_decref(reply->object);
        reply->object = NULL;
    }
    read_code(reply->object, reply->code, sizeof reply->code);
}

static void wipe(json_t *value, unsigned depth) {
    const char *name;
    json_t *member;
    size_t at;
    if (json_is_string(value)) {
        ez_wipe((void *)(uintptr_t)json_string_value(value), json_string_length(value));
    } else if (json_is_object(value) && depth < DEPTH_MAX) {
        json_object_foreach(value, name, member) wipe(member, depth + 1);
    } else if (json_is_array(value) && depth < DEPTH_MAX) {
        json_array_foreach(value, at, member) wipe(member, depth + 1);
    }
}

void ez_oauth_reply_fini(ez_oauth_reply *reply) {
    wipe(reply->object, 0);
    json_decref(reply->object);
    reply->object = NULL;
}

// ---- The tokens

static ez_oauth_taken take_token(const json_t *value, char *out, size_t size) {
    if (json_string_length(value) == 0)
        return EZ_OAUTH_NONE_THERE;
    return ez_oauth_take_text(value, out, size) ? EZ_OAUTH_TAKEN : EZ_OAUTH_NOT_TAKEN;
}

static ez_oauth_taken take_both(const ez_oauth_reply *reply, ez_oauth_tokens *out) {
    ez_oauth_taken access =
        take_token(json_object_get(reply->object, "access_token"), out->access_token, sizeof out->access_token);
    ez_oauth_taken refresh =
        take_token(json_object_get(reply->object, "refresh_token"), out->refresh_token, sizeof out->refresh_token);
    return access > refresh ? access : refresh;
}

ez_oauth_taken ez_oauth_reply_tokens(const ez_oauth_reply *reply, const ez_oauth_provider *provider,
                                     ez_oauth_tokens *out) {
    memset(out, 0, sizeof *out);
    ez_oauth_taken taken = take_both(reply, out);
    if (taken == EZ_OAUTH_NOT_TAKEN)
        ez_wipe(out, sizeof *out);
    if (taken != EZ_OAUTH_TAKEN)
        return taken;
    ez_oauth_take_text(json_object_get(reply->object, "scope"), out->scope, sizeof out->scope);
    double lasts = json_number_value(json_object_get(reply->object, "expires_in"));
    if (lasts >= 1 && lasts < EZ_OAUTH_SECONDS_MAX / 2)
        out->expires_in_s = (int64_t)lasts;
    provider->read(reply->object, out);
    return EZ_OAUTH_TAKEN;
}
