// SPDX-License-Identifier: Apache-2.0
//
// Compiling bindings: finding the one upstream model each has in its group, or the reason why there is none. The reason
// is kept in the binding; it is never a failure of the call. All of it runs within a transaction, on the writer's
// thread.
#pragma once

#include "ez/v1/binding.pb-c.h"
#include "server/state/directory/txn.h"

// Sets upstream_model, error and error_detail from the binding's group as the transaction sees it. FAILED_PRECONDITION
// (GROUP_UNKNOWN) where there is no such group. The texts are in the transaction's arena.
ez_status ez_compile_binding(ez_txn *txn, Ez__V1__Binding *binding, ez_error *error) EZ_MUST_CHECK;

// Compiles every binding of the group again and puts those whose result differs. DEADLINE_EXCEEDED where there are so
// many that the call's time is up.
ez_status ez_compile_group(ez_txn *txn, int64_t group_id, ez_error *error) EZ_MUST_CHECK;

// Whether the group has an API key in service (kept as active, whatever its weight) besides except (0: none).
bool ez_compile_has_key(ez_txn *txn, int64_t group_id, int64_t except);
