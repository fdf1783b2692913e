// SPDX-License-Identifier: Apache-2.0
//
// What the schema says, as tables: tools/protoc-gen-ez writes them from proto/ez/v1, everything else reads them.
// All of it is const and lives as long as the program.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/status.h"

typedef enum ez_scope {
    EZ_SCOPE_PUBLIC = 1,
    EZ_SCOPE_ADMIN = 2,
    EZ_SCOPE_MASTER = 3,
    EZ_SCOPE_DATA_PLANE = 4,
    EZ_SCOPE_PEER = 5
} ez_scope;
typedef enum ez_effect {
    EZ_EFFECT_READ = 1,
    EZ_EFFECT_QUERY = 2,
    EZ_EFFECT_CHANGE = 3,
    EZ_EFFECT_SESSION = 4,
    EZ_EFFECT_APPEND = 5,
    EZ_EFFECT_HELD = 6
} ez_effect;

enum {
    EZ_FIELD_REQUIRED = 1 << 0,
    EZ_FIELD_OUTPUT_ONLY = 1 << 1,
    EZ_FIELD_INPUT_ONLY = 1 << 2,
    EZ_FIELD_IMMUTABLE = 1 << 3,
    EZ_FIELD_SENSITIVE = 1 << 4,
    EZ_FIELD_HEX = 1 << 5,
    EZ_FIELD_OMIT_EMPTY = 1 << 6,
    EZ_FIELD_TRIM = 1 << 7,
    EZ_FIELD_LOWER = 1 << 8,
    EZ_FIELD_MAP = 1 << 9, // map<string, string>: repeated entries {key = 1, value = 2} with unique keys
    EZ_FIELD_HAS_MIN = 1 << 10,
    EZ_FIELD_HAS_MAX = 1 << 11,
    EZ_FIELD_PRESENCE = 1 << 12,  // single member of a oneof: absent and zero differ
    EZ_FIELD_TIMESTAMP = 1 << 13, // google.protobuf.Timestamp: RFC 3339 in JSON
    EZ_FIELD_JSON_VALUES =
        1 << 14, // with EZ_FIELD_MAP: values are JSON scalars, kept as their JSON text; empty is null
};

typedef enum ez_format {
    EZ_FORMAT_NONE = 0,
    EZ_FORMAT_NAMESPACE,
    EZ_FORMAT_URL,
    EZ_FORMAT_CIDR,
    EZ_FORMAT_JSON_OBJECT, // the text of one, without blanks around it; in JSON it stands for itself
} ez_format;

typedef struct ez_message_rule ez_message_rule;

// One field: its descriptor and what ez.options.FieldRule says.
typedef struct ez_field_rule {
    const char *name; // protobuf and JSON name
    uint32_t number;
    unsigned index; // into descriptor->fields of the message
    uint32_t flags; // EZ_FIELD_*
    ez_format format;
    uint32_t min_len, max_len;      // bytes; max_len is never 0: 255 where the schema is silent (65536 for bytes)
    uint32_t max_items;             // never 0 for repeated fields and maps
    int64_t min, max;               // with EZ_FIELD_HAS_MIN / _MAX
    const char *const *one_of;      // NULL-terminated, or NULL
    const char *default_value;      // or NULL
    const ez_message_rule *message; // rules of a message-typed field; NULL for scalars and google.protobuf.*
    const char *doc;                // its comment, one paragraph, or ""
} ez_field_rule;

struct ez_message_rule {
    const ProtobufCMessageDescriptor *descriptor;
    const char *name;            // "ez.v1.Key"
    const ez_field_rule *fields; // in the order of descriptor->fields (ascending number)
    unsigned field_count;
    bool has_sensitive; // itself, or a message within it, has a sensitive field
    const char *doc;
};

typedef struct ez_method {
    const char *name;    // "ez.v1.Keys/Get"
    const char *service; // "Keys"
    const char *rpc;     // "Get"
    const ez_message_rule *request;
    const ez_message_rule *reply;
    ez_scope scope;
    ez_effect effect;
    bool idempotent;
    bool reveals;
    bool streams;         // over REST events follow, not a reply
    bool has_update_mask; // the request has a field "repeated string update_mask"
    uint32_t timeout_ms;  // default deadline, never 0
    uint16_t http_status; // of success
    uint16_t index;       // in ez_methods
    const char *doc;
} ez_method;

typedef enum ez_verb { EZ_VERB_GET, EZ_VERB_POST, EZ_VERB_PUT, EZ_VERB_PATCH, EZ_VERB_DELETE } ez_verb;

// A route's path is split at "/"; a segment is a literal ("keys"), a parameter ("{id}") or a parameter with a verb
// ("{id}:rotate"); a literal may hold a verb too ("routes:explain").
typedef struct ez_route_segment {
    const char *literal;        // NULL: a parameter
    const ez_field_rule *param; // the request's field it fills, or NULL
    const char *verb;           // "rotate", or NULL; parameters only
} ez_route_segment;

typedef struct ez_route {
    ez_verb verb;
    const char *path; // "/admin/keys/{id}:rotate"
    const ez_route_segment *segments;
    unsigned segment_count;
    const ez_method *method;
    const ez_field_rule *body; // the request's field the body becomes; NULL with body_is_request false: no body
    bool body_is_request;
} ez_route;

// Written by the generator.
extern const ez_method ez_methods[];
extern const unsigned ez_method_count;
extern const ez_route ez_routes[]; // more specific before less
extern const unsigned ez_route_count;
extern const ez_message_rule *const ez_message_rules[]; // sorted by name
extern const unsigned ez_message_rule_count;
extern const char ez_openapi_json[]; // NUL-terminated
extern const size_t ez_openapi_json_len;

// By full name; NULL where there is none. Constant time (a perfect or open hash the generator wrote).
const ez_method *ez_method_find(const char *name, size_t len);
// NULL where the schema has no such message.
const ez_message_rule *ez_message_rule_find(const ProtobufCMessageDescriptor *descriptor);
// NULL where the message has no such field.
const ez_field_rule *ez_field_rule_find(const ez_message_rule *rule, const char *name);
