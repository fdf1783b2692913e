// SPDX-License-Identifier: Apache-2.0
//
// Settings by name. One is made by its first change, so reading gives an empty one until then. The awkward case is
// If-Match on one that is not there yet: the writer compares it with revision 0, which matches nothing.
#include "server/state/directory/setting.h"

#include "server/state/directory/edit.h"

#define KIND_SETTING EZ__V1__KIND__KIND_SETTING

static ez_status make(const char *name, ez_arena *arena, Ez__V1__Setting **out, ez_error *error) {
    Ez__V1__Setting *setting = ez_arena_alloc(arena, sizeof *setting);
    if (!setting)
        return ez_no_memory(error);
    ez__v1__setting__init(setting);
    setting->name = (char *)name;
    *out = setting;
    return EZ_OK;
}

ez_status ez_setting_read(const ez_directory *directory, const char *name, ez_arena *arena, Ez__V1__Setting **out,
                          ez_error *error) {
    ez_status status = EZ_OK;
    ez_directory_enter();
    const ez_entry *entry = ez_directory_find(directory, EZ_INDEX_SETTING_NAME, ez_index_text(name));
    Ez__V1__Setting *setting = entry ? (Ez__V1__Setting *)ez_entry_unpack(entry, arena) : NULL;
    if (entry && !setting)
        status = ez_no_memory(error);
    ez_directory_leave();
    if (status != EZ_OK)
        return status;
    if (!setting)
        return make(name, arena, out, error);
    *out = setting;
    return EZ_OK;
}

ez_status ez_setting_load(ez_txn *txn, const char *name, Ez__V1__Setting **out, ez_error *error) {
    const ez_entry *entry = ez_txn_find(txn, EZ_INDEX_SETTING_NAME, ez_index_text(name));
    if (!entry)
        return make(name, ez_txn_arena(txn), out, error);
    return ez_txn_load(txn, KIND_SETTING, ez_entry_id(entry), (ProtobufCMessage **)out, error);
}

ez_status ez_setting_put(ez_txn *txn, Ez__V1__Setting *setting, ez_error *error) {
    return ez_txn_put_changed(txn, KIND_SETTING, setting->id, &setting->base, error);
}
