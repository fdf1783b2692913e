// SPDX-License-Identifier: Apache-2.0
//
// Entries: made once, read by many, freed by RCU. An entry belongs to whoever made it until the directory takes it.
// Awkward: the secret is the sealed one, so an entry may be freed without being wiped.
#include "server/state/directory/entry.h"

#include <stdlib.h>
#include <string.h>

#include "server/state/directory/kind.h"

static size_t head_size(const ez_entry *entry) {
    return sizeof *entry + ez_kind_find((int)entry->kind)->group_count * sizeof entry->links[0];
}

ez_entry *ez_entry_create(int kind, int64_t id, uint64_t revision, uint64_t secret_version, size_t data_len,
                          ez_slice sealed) {
    const ez_kind *known = ez_kind_find(kind);
    if (!known || data_len > EZ_CALL_MAX || sealed.len > EZ_ENTRY_SEALED_MAX)
        return NULL;
    size_t head = sizeof(ez_entry) + known->group_count * sizeof(ez_entry_link);
    ez_entry *entry = malloc(head + data_len + sealed.len);
    if (!entry)
        return NULL;
    memset(entry, 0, head);
    entry->id = id;
    entry->revision = revision;
    entry->secret_version = secret_version;
    entry->data_len = (uint32_t)data_len;
    entry->sealed_len = sealed.len & EZ_ENTRY_SEALED_MAX;
    entry->kind = (unsigned)kind & 0xff;
    if (sealed.len > 0)
        memcpy((uint8_t *)entry + head + data_len, sealed.data, sealed.len);
    return entry;
}

void ez_entry_destroy(ez_entry *entry) {
    free(entry);
}

static void entry_release(ez_rcu_head *head) {
    ez_rcu_release_begin();
    free(head); // the head is the first member
}

void ez_entry_defer_destroy(ez_entry *entry) {
    ez_rcu_defer(&entry->rcu, entry_release);
}

uint8_t *ez_entry_bytes(ez_entry *entry) {
    return (uint8_t *)entry + head_size(entry);
}

int ez_entry_kind(const ez_entry *entry) {
    return (int)entry->kind;
}

int64_t ez_entry_id(const ez_entry *entry) {
    return entry->id;
}

uint64_t ez_entry_revision(const ez_entry *entry) {
    return entry->revision;
}

uint64_t ez_entry_secret_version(const ez_entry *entry) {
    return entry->secret_version;
}

ez_slice ez_entry_data(const ez_entry *entry) {
    return (ez_slice){(const uint8_t *)entry + head_size(entry), entry->data_len};
}

ez_slice ez_entry_sealed(const ez_entry *entry) {
    return (ez_slice){(const uint8_t *)entry + head_size(entry) + entry->data_len, entry->sealed_len};
}

ProtobufCMessage *ez_entry_unpack(const ez_entry *entry, ez_arena *arena) {
    ez_slice data = ez_entry_data(entry);
    return protobuf_c_message_unpack(ez_kind_find((int)entry->kind)->descriptor, ez_arena_allocator(arena), data.len,
                                     data.data);
}
