// SPDX-License-Identifier: Apache-2.0
//
// The hash that chains audit entries. Whoever verifies a chain calls this with each entry, oldest first.
#pragma once

#include "server/state/store/store.h"

// SHA-256(previous_hash | id | time_ns | revision | actor | method | resource | request | request_id | remote): numbers
// as 8 bytes big endian, each text as its length in 4 bytes big endian and its bytes. entry->hash is not looked at;
// NULL texts count as empty ones.
void ez_audit_hash(const ez_store_audit *entry, uint8_t out[EZ_SHA256_LEN]);

// Fills id, previous_hash and hash of entries that come behind the newest one: next_id is what the first gets, newest
// that one's hash. To be called where nobody else can write an entry before these are written.
void ez_audit_chain(ez_store_audit *entries, size_t count, int64_t next_id, const uint8_t newest[EZ_SHA256_LEN]);
