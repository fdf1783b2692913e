// SPDX-License-Identifier: Apache-2.0
//
// How the directory changes: for the writer's thread alone, after the store has said OK. What a change needs is
// reserved before the commit, so that nothing that is durable can fail to be applied.
#pragma once

#include "server/state/directory/directory.h"
#include "server/state/directory/hash.h"
#include "server/state/directory/index.h"

// Makes room for putting entry. RESOURCE_EXHAUSTED where there is no memory; nothing is reserved then.
ez_status ez_directory_reserve(ez_directory *directory, const ez_entry *entry, ez_error *error) EZ_MUST_CHECK;
// Gives it back: the entry is not put after all.
void ez_directory_unreserve(ez_directory *directory, const ez_entry *entry);
// Takes entry, in place of the one with its kind and id where there is one. Its room must have been reserved.
void ez_directory_put(ez_directory *directory, ez_entry *entry);
void ez_directory_remove(ez_directory *directory, int kind, int64_t id);

// Reserves and puts a copy. DATA_LOSS where another entry has a value that must be unique.
ez_status ez_directory_put_row(ez_directory *directory, int kind, const ez_store_row *row,
                               ez_error *error) EZ_MUST_CHECK;

// As ez_directory_find, by a value that was taken apart already.
const ez_entry *ez_directory_find_value(const ez_directory *directory, ez_index index, const ez_index_value *value);

const ez_hash_seed *ez_directory_seed(const ez_directory *directory);
const ez_sealer *ez_directory_sealer(const ez_directory *directory);
