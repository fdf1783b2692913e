// SPDX-License-Identifier: Apache-2.0
//
// One API key for each *.json file of a folder: {"type", "access_token", "refresh_token", "account_id", "email",
// "expired"}. The email, else the account, is its name; by that name a second import finds it again.
//
// The awkward case is an API key that is there already: its tokens have been rotated since, and the file's refresh
// token is used up. Putting it back would end the account, so such a key is left alone unless its own login has ended.
#include "clients/ctl/import_tokens.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/ctl/call.h"
#include "clients/ctl/settings.h"
#include "clients/ctl/source.h"
#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/runtime/clock.h"

#define FILES_MAX 10000
#define EXPIRED   EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED

typedef struct importing {
    const char *folder;
    int64_t group_id;
    char *type; // of the group
    ez_client *client;
    ez_arena *arena;
    ez_error error;
    unsigned created, updated, skipped, failed;
} importing;

static ez_status call(importing *in, const char *name, const ProtobufCMessage *request, ProtobufCMessage **reply) {
    const ez_method *method;
    ez_status status = ez_ctl_method_find(name, &method, &in->error);
    return status == EZ_OK ? ez_client_call(in->client, method, request, NULL, reply, &in->error) : status;
}

// ---- What is there already

static ez_status read_group(importing *in) {
    Ez__V1__GetProviderGroupRequest request = EZ__V1__GET_PROVIDER_GROUP_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.id = in->group_id;
    ez_status status = call(in, "ProviderGroups/Get", &request.base, &reply);
    if (status != EZ_OK)
        return status;
    in->type = ez_arena_strdup(in->arena, ((Ez__V1__ProviderGroup *)reply)->type);
    protobuf_c_message_free_unpacked(reply, NULL);
    return in->type ? EZ_OK : ez_error_set(&in->error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory");
}

// The API key of that name; the caller frees *page. NULL: none.
static ez_status find_key(importing *in, const char *name, Ez__V1__ListApiKeysResponse **page, Ez__V1__ApiKey **out) {
    Ez__V1__ListApiKeysRequest request = EZ__V1__LIST_API_KEYS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.group_id = in->group_id;
    request.q = (char *)(uintptr_t)name;
    request.page_size = 1000;
    *page = NULL;
    *out = NULL;
    ez_status status = call(in, "ApiKeys/List", &request.base, &reply);
    if (status != EZ_OK)
        return status;
    *page = (Ez__V1__ListApiKeysResponse *)reply;
    for (size_t i = 0; i < (*page)->n_items; i++)
        if (strcmp((*page)->items[i]->name, name) == 0)
            *out = (*page)->items[i];
    return EZ_OK;
}

// ---- One file

static char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return (char *)(uintptr_t)(text ? text : "");
}

static ez_status refuse(importing *in, const char *why) {
    return ez_error_set(&in->error, EZ_INVALID_ARGUMENT, "TOKEN_FILE_INVALID", "%s", why);
}

// What is null is as good as not there.
static ez_status check_texts(importing *in, const json_t *object) {
    static const char *const names[] = {"type", "access_token", "refresh_token", "account_id", "email"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *value = json_object_get(object, names[i]);
        if (value && !json_is_null(value) && !json_is_string(value))
            return ez_error_set(&in->error, EZ_INVALID_ARGUMENT, "TOKEN_FILE_INVALID", "%s is no text", names[i]);
    }
    return EZ_OK;
}

// RFC 3339, or seconds since 1970. *has_end is false where there is none: null, "" or 0.
static ez_status read_end(importing *in, const json_t *object, Google__Protobuf__Timestamp *out, bool *has_end) {
    const json_t *value = json_object_get(object, "expired");
    const char *text = json_string_value(value);
    google__protobuf__timestamp__init(out);
    out->seconds = json_integer_value(value);
    *has_end = text ? text[0] != 0 : out->seconds != 0;
    bool is_time = !value || json_is_null(value) || json_is_integer(value) || text;
    if (text && *has_end)
        is_time = ez_clock_parse(text, strlen(text), &out->seconds, &out->nanos) == EZ_OK;
    return is_time && out->seconds >= 0 ? EZ_OK : refuse(in, "expired is no time");
}

static ez_status create(importing *in, Ez__V1__ApiKey *key) {
    Ez__V1__CreateApiKeyRequest request = EZ__V1__CREATE_API_KEY_REQUEST__INIT;
    request.api_key = key;
    ez_status status = call(in, "ApiKeys/Create", &request.base, NULL);
    in->created += status == EZ_OK;
    return status;
}

static ez_status update(importing *in, Ez__V1__ApiKey *key, int64_t id) {
    static char *const mask[] = {(char *)(uintptr_t) "access_token", (char *)(uintptr_t) "refresh_token",
                                 (char *)(uintptr_t) "expires_at", (char *)(uintptr_t) "account_id"};
    Ez__V1__UpdateApiKeyRequest request = EZ__V1__UPDATE_API_KEY_REQUEST__INIT;
    request.id = id;
    request.api_key = key;
    request.update_mask = (char **)(uintptr_t)mask;
    request.n_update_mask = sizeof mask / sizeof mask[0];
    ProtobufCMessage *reply = NULL;
    ez_status status = call(in, "ApiKeys/Update", &request.base, &reply);
    if (status != EZ_OK)
        return status;
    bool is_ended = ((Ez__V1__ApiKey *)reply)->refresh_ended_at != NULL; // only other tokens begin anew
    protobuf_c_message_free_unpacked(reply, NULL);
    if (is_ended)
        return refuse(in, "it holds the tokens whose login has ended: log in again");
    in->updated++;
    return EZ_OK;
}

static ez_status put(importing *in, Ez__V1__ApiKey *key) {
    Ez__V1__ListApiKeysResponse *page;
    Ez__V1__ApiKey *held;
    ez_status status = find_key(in, key->name, &page, &held);
    if (status == EZ_OK && !held) {
        status = create(in, key);
    } else if (status == EZ_OK && (held->status == EXPIRED || held->refresh_ended_at)) {
        status = update(in, key, held->id);
    } else if (status == EZ_OK) {
        in->skipped++;
        ez_ctl_note("%s: API key %lld is there already, its tokens are left as they are", key->name,
                    (long long)held->id);
    }
    if (page)
        ez__v1__list_api_keys_response__free_unpacked(page, NULL);
    return status;
}

static ez_status take_object(importing *in, const json_t *object) {
    Google__Protobuf__Timestamp end;
    bool has_end;
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    ez_status status = check_texts(in, object);
    if (status == EZ_OK)
        status = read_end(in, object, &end, &has_end);
    if (status != EZ_OK)
        return status;
    const char *type = text_of(object, "type");
    char *email = text_of(object, "email");
    key.group_id = in->group_id;
    key.access_token = text_of(object, "access_token");
    key.refresh_token = text_of(object, "refresh_token");
    key.account_id = text_of(object, "account_id");
    key.name = email[0] ? email : key.account_id;
    key.expires_at = has_end ? &end : NULL;
    if (type[0] && strcmp(type, in->type) != 0)
        return ez_error_set(
            &in->error, EZ_INVALID_ARGUMENT, "TOKEN_FILE_INVALID",
            "its type is %.40s, the provider group's is %s: a file's type is its group's, word for word, or left out",
            type, in->type);
    if (!key.refresh_token[0])
        return refuse(in, "it has no refresh_token");
    if (!key.name[0])
        return refuse(in, "it has neither email nor account_id to know it by");
    return put(in, &key);
}

static void take_file(importing *in, const char *name) {
    ez_ctl_sources sources = {0};
    const char *text = NULL;
    char *spec = ez_arena_printf(in->arena, "@%s/%s", in->folder, name);
    ez_status status = spec ? ez_ctl_source_read(&sources, name, spec, in->arena, &text, &in->error)
                            : refuse(in, "there is no memory to read it");
    json_t *object = status == EZ_OK ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (status == EZ_OK)
        status = json_is_object(object) ? take_object(in, object) : refuse(in, "it is no JSON object");
    json_decref(object);
    if (text)
        explicit_bzero((char *)(uintptr_t)text, strlen(text));
    if (status != EZ_OK) {
        in->failed++;
        ez_ctl_note("%s: %s", name, in->error.message);
    }
}

// ---- The folder

static int is_token_file(const struct dirent *entry) {
    size_t len = strlen(entry->d_name);
    return len > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 5, ".json") == 0;
}

static int take_folder(importing *in) {
    struct dirent **list = NULL;
    int count = scandir(in->folder, &list, is_token_file, alphasort);
    if (count < 0) {
        ez_ctl_note("%s can't be read", in->folder);
        return EZ_CTL_EXIT_USAGE;
    }
    if (count == 0)
        ez_ctl_note("there are no .json files in %s", in->folder);
    for (int i = 0; i < count; i++) {
        if (i < FILES_MAX)
            take_file(in, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    if (count > FILES_MAX)
        ez_ctl_note("only the first %d files were read", FILES_MAX);
    printf("created %u, updated %u, left alone %u, failed %u\n", in->created, in->updated, in->skipped, in->failed);
    bool is_whole = fflush(stdout) == 0 && in->failed == 0 && count <= FILES_MAX;
    return is_whole ? EZ_CTL_EXIT_OK : EZ_CTL_EXIT_REFUSED;
}

static int run(importing *in, const ez_settings *settings) {
    ez_ctl_access access;
    ez_status status = ez_ctl_access_init(&access, settings, &in->error);
    if (status == EZ_OK)
        status = ez_client_open(&access.options, &in->client, &in->error);
    if (status != EZ_OK) {
        ez_ctl_access_fini(&access);
        return ez_ctl_report_usage(&in->error);
    }
    int result = read_group(in) == EZ_OK ? take_folder(in) : ez_ctl_report_refusal(&in->error);
    ez_client_close(in->client);
    ez_ctl_access_fini(&access);
    return result;
}

int ez_ctl_import_tokens(const ez_ctl_arguments *arguments, const ez_settings *settings) {
    ez_arena arena;
    importing in = {.folder = arguments->operands[0], .arena = &arena};
    char *end = NULL;
    in.group_id = arguments->group ? strtoll(arguments->group, &end, 10) : 0;
    if (in.group_id <= 0 || *end) {
        (void)ez_error_set(&in.error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE,
                           "import-tokens wants --group ID, the provider group the API keys are to be of");
        return ez_ctl_report_usage(&in.error);
    }
    ez_arena_init(&arena, EZ_CTL_MEMORY_MAX);
    int result = run(&in, settings);
    ez_arena_fini(&arena);
    return result;
}
