// SPDX-License-Identifier: Apache-2.0
//
// Settings by name: one resource of kind "setting" for each of a few names. Threads as in directory.h and txn.h.
#pragma once

#include "ez/v1/setting.pb-c.h"
#include "server/state/directory/txn.h"

// The setting in arena; a new, empty one with id 0 where it was never changed.
ez_status ez_setting_read(const ez_directory *directory, const char *name, ez_arena *arena, Ez__V1__Setting **out,
                          ez_error *error) EZ_MUST_CHECK;
// The same for changing: compares an If-Match.
ez_status ez_setting_load(ez_txn *txn, const char *name, Ez__V1__Setting **out, ez_error *error) EZ_MUST_CHECK;
// Puts it, unless nothing changed.
ez_status ez_setting_put(ez_txn *txn, Ez__V1__Setting *setting, ez_error *error) EZ_MUST_CHECK;
