// SPDX-License-Identifier: Apache-2.0
//
// ez_selector: finds a binding's upstream model among its group's models. One belongs to one thread.
//
// Bounds: an expression has at most 512 bytes, and the work on all models together is limited by counting steps, not
// by a clock, so that the same binding compiles to the same result everywhere.
#pragma once

#include "ez/v1/binding.pb-c.h"
#include "proto/runtime/error.h"

typedef struct ez_selector ez_selector;

// INVALID_ARGUMENT (SELECTOR_INVALID) where the value is no expression that can be used; says what is wrong with it.
ez_status ez_selector_open(Ez__V1__SelectorType type, const char *value, ez_selector **out,
                           ez_error *error) EZ_MUST_CHECK;
void ez_selector_close(ez_selector *selector);

// Whether it hits one model. RESOURCE_EXHAUSTED (SELECTOR_TOO_COSTLY) where the bound was reached.
ez_status ez_selector_hit(ez_selector *selector, const char *model, size_t len, bool *hit,
                          ez_error *error) EZ_MUST_CHECK;
