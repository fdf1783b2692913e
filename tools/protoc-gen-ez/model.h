// SPDX-License-Identifier: Apache-2.0
//
// The schema as the generator sees it: what the .proto files and their options say, resolved. load.c builds it once
// from protoc's request, check.c judges it, the write_*.c read it. Everything lives in the pool; texts of descriptors
// point into the request, which lives as long.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ez/options/options.pb-c.h"
#include "google/protobuf/compiler/plugin.pb-c.h"
#include "tools/protoc-gen-ez/pool.h"
#include "tools/protoc-gen-ez/text.h"

#define GEN_MAX_LEN_STRING 255u
#define GEN_MAX_LEN_BYTES  65536u
#define GEN_MAX_ITEMS      100u
#define GEN_TIMEOUT_MS     5000u

typedef struct gen_message gen_message;
typedef struct gen_service gen_service;

// Where something stands in its file, for refusals.
typedef struct gen_place {
    const char *file;
    int line; // from 1; 0: not known
} gen_place;

typedef enum gen_type {
    GEN_BOOL,
    GEN_INT32,
    GEN_INT64,
    GEN_UINT32,
    GEN_UINT64,
    GEN_FLOAT,
    GEN_DOUBLE,
    GEN_STRING,
    GEN_BYTES,
    GEN_ENUM,
    GEN_MESSAGE,
    GEN_TIMESTAMP,
    GEN_FOREIGN, // a message or enum that is none of ours: refused
} gen_type;

typedef struct gen_enum_value {
    const char *name; // "KEY_STATUS_ACTIVE"
    const char *word; // "active"; NULL where it lacks the type's prefix (refused)
    int number;
    bool is_unspecified; // the zero value X_UNSPECIFIED
    const char *doc;
} gen_enum_value;

typedef struct gen_enum {
    const char *full;   // "ez.v1.KeyStatus"
    const char *ident;  // "KeyStatus"
    const char *prefix; // "KEY_STATUS_"
    gen_enum_value *values;
    unsigned value_count;
    const char *doc;
    gen_place place;
    bool used; // openapi: some schema refers to it
} gen_enum;

typedef struct gen_field {
    const char *name;
    uint32_t number;
    unsigned index; // by ascending number, as in descriptor->fields
    gen_type type;
    bool repeated; // maps too
    bool map;      // map<string, string>
    bool in_oneof;
    bool presence;                      // the only member of its oneof
    const char *type_name;              // of messages and enums, for refusals
    gen_message *message;               // GEN_MESSAGE (and a map's entry)
    gen_enum *enumeration;              // GEN_ENUM
    const Ez__Options__FieldRule *rule; // never NULL
    gen_message *owner;
    const char *doc;
    gen_place place;
} gen_field;

// How a message is shown in openapi.json; each that is used becomes a component.
typedef enum gen_view {
    GEN_VIEW_REPLY,    // what reads give
    GEN_VIEW_REVEALED, // and with secrets that were just made
    GEN_VIEW_INPUT,    // what a Create or a request takes
    GEN_VIEW_PATCH,    // what an Update takes
    GEN_VIEW_COUNT,
} gen_view;

struct gen_message {
    const char *full;   // "ez.v1.Key.LabelsEntry"
    const char *ident;  // "Key_LabelsEntry"
    const char *c_type; // "Ez__V1__Key__LabelsEntry"
    const char *c_lower;
    gen_field *fields;
    unsigned field_count;
    bool is_map_entry;
    bool has_sensitive; // at any depth
    bool has_hidden;    // sensitive or input_only, at any depth
    int mark;           // of walks over the graph
    bool used[GEN_VIEW_COUNT];
    const char *doc;
    gen_place place;
};

typedef struct gen_rpc {
    const char *name;   // "Get"
    const char *full;   // "ez.v1.Keys/Get"
    const char *handle; // "keys_get"
    gen_service *service;
    gen_message *request;
    gen_message *reply;
    const char *request_name; // as written, for refusals
    const char *reply_name;
    bool streams;
    const Ez__Options__RpcRule *rule; // NULL: none was written (refused)
    const gen_field *update_mask;     // of the request, or NULL
    unsigned index;                   // in ez_methods
    const char *doc;
    gen_place place;
} gen_rpc;

struct gen_service {
    const char *name;  // "Keys"
    const char *title; // of its chapter
    const char *self;  // "" where none was written (refused)
    gen_rpc **rpcs;
    unsigned rpc_count;
    const char *doc;
    gen_place place;
};

typedef struct gen_segment {
    const char *text;       // "{id}:rotate", "keys"
    const char *name;       // of the parameter; NULL: a literal
    const char *verb;       // "rotate" or NULL
    const gen_field *param; // NULL: a literal, or no such field (refused)
} gen_segment;

typedef struct gen_route {
    gen_rpc *rpc;
    unsigned ordinal; // 0: http, 1…: also
    unsigned index;   // in ez_routes
    const char *verb; // "GET"; NULL: malformed (refused)
    const char *path;
    gen_segment *segments;
    unsigned segment_count;
    const gen_field *body;
    bool body_is_request;
} gen_route;

typedef struct gen_schema {
    gen_pool *pool;
    const char **headers; // "ez/v1/key.pb-c.h"
    unsigned header_count;
    gen_message **messages; // sorted by name
    unsigned message_count;
    gen_enum **enums; // in the order of the files
    unsigned enum_count;
    gen_service **services;
    unsigned service_count;
    gen_rpc **rpcs; // in the order of the files
    unsigned rpc_count;
    gen_route **routes; // sorted once checked
    unsigned route_count;
    gen_text refusals; // one line each
    unsigned refusal_count;
} gen_schema;

// Notes why the schema is refused: "ez/v1/key.proto:12: ez.v1.Keys/Get: …".
void gen_refuse(gen_schema *schema, gen_place place, const char *subject, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// NULL where there is none.
gen_message *gen_message_find(const gen_schema *schema, const char *full);
gen_enum *gen_enum_find(const gen_schema *schema, const char *full);
const gen_field *gen_field_find(const gen_message *message, const char *name);

bool gen_type_is_integer(gen_type type);
// What the table holds: the option, or its default.
uint32_t gen_field_max_len(const gen_field *field);
uint32_t gen_field_max_items(const gen_field *field);
// A text that JSON shows as the object it holds.
bool gen_field_is_json(const gen_field *field);
