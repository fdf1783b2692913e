// SPDX-License-Identifier: Apache-2.0
//
// The kinds. A new one is a line here, its indexes in index.c, and its number in proto/ez/v1/common.proto; nothing else
// in the state knows what a resource is.
#include "server/state/directory/kind.h"

#include "ez/v1/binding.pb-c.h"
#include "ez/v1/data_plane.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/model.pb-c.h"
#include "ez/v1/namespace.pb-c.h"
#include "ez/v1/provider_group.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "ez/v1/token.pb-c.h"

#define MESSAGE(type, name)                                                                                            \
    .descriptor = &name##__descriptor, .id = offsetof(type, id), .created_at = offsetof(type, created_at),             \
    .updated_at = offsetof(type, updated_at), .revision = offsetof(type, revision)

static const ez_kind kinds[EZ_KIND_COUNT] = {
    [EZ__V1__KIND__KIND_MASTER] = {MESSAGE(Ez__V1__Master, ez__v1__master), .word = "master", .unique_count = 2,
                                   .uniques = {EZ_INDEX_MASTER_NAME, EZ_INDEX_MASTER_TOKEN}},
    [EZ__V1__KIND__KIND_KEY] = {MESSAGE(Ez__V1__Key, ez__v1__key), .word = "key", .unique_count = 1,
                                .uniques = {EZ_INDEX_KEY_TOKEN}, .group_count = 1, .groups = {EZ_INDEX_KEY_BY_MASTER}},
    [EZ__V1__KIND__KIND_NAMESPACE] = {MESSAGE(Ez__V1__Namespace, ez__v1__namespace), .word = "namespace",
                                      .unique_count = 1, .uniques = {EZ_INDEX_NAMESPACE_NAME}},
    [EZ__V1__KIND__KIND_PROVIDER_GROUP] = {MESSAGE(Ez__V1__ProviderGroup, ez__v1__provider_group),
                                           .word = "provider group", .unique_count = 1,
                                           .uniques = {EZ_INDEX_PROVIDER_GROUP_NAME}},
    [EZ__V1__KIND__KIND_API_KEY] = {MESSAGE(Ez__V1__ApiKey, ez__v1__api_key), .word = "API key", .group_count = 1,
                                    .groups = {EZ_INDEX_API_KEY_BY_GROUP}},
    [EZ__V1__KIND__KIND_BINDING] = {MESSAGE(Ez__V1__Binding, ez__v1__binding), .word = "binding", .unique_count = 1,
                                    .uniques = {EZ_INDEX_BINDING_IDENTITY}, .group_count = 3,
                                    .groups = {EZ_INDEX_BINDING_BY_GROUP, EZ_INDEX_BINDING_BY_NAMESPACE,
                                               EZ_INDEX_BINDING_BY_MODEL}},
    [EZ__V1__KIND__KIND_ADMIN_TOKEN] = {MESSAGE(Ez__V1__AdminToken, ez__v1__admin_token), .word = "admin token",
                                        .unique_count = 2,
                                        .uniques = {EZ_INDEX_ADMIN_TOKEN_NAME, EZ_INDEX_ADMIN_TOKEN_TOKEN}},
    [EZ__V1__KIND__KIND_DATA_PLANE] = {MESSAGE(Ez__V1__DataPlane, ez__v1__data_plane), .word = "data plane",
                                       .unique_count = 2,
                                       .uniques = {EZ_INDEX_DATA_PLANE_NAME, EZ_INDEX_DATA_PLANE_TOKEN}},
    [EZ__V1__KIND__KIND_SETTING] = {MESSAGE(Ez__V1__Setting, ez__v1__setting), .word = "setting", .unique_count = 1,
                                    .uniques = {EZ_INDEX_SETTING_NAME}},
    [EZ__V1__KIND__KIND_MODEL] = {MESSAGE(Ez__V1__Model, ez__v1__model), .word = "model", .unique_count = 1,
                                  .uniques = {EZ_INDEX_MODEL_NAME}},
};

const ez_kind *ez_kind_find(int kind) {
    return kind > 0 && kind < EZ_KIND_COUNT && kinds[kind].descriptor ? &kinds[kind] : NULL;
}

const ez_message_rule *ez_kind_rule(int kind) {
    const ez_kind *found = ez_kind_find(kind);
    return found ? ez_message_rule_find(found->descriptor) : NULL;
}

const char *ez_kind_word(int kind) {
    const ez_kind *found = ez_kind_find(kind);
    return found ? found->word : "resource";
}
