// SPDX-License-Identifier: Apache-2.0
//
// A model as data planes read it: the JSON that goes into Redis under meta:models, and that the checksum of all models
// is made of. Here, because both whoever keeps the checksum and whoever writes Redis need the same bytes.
#pragma once

#include "ez/v1/model.pb-c.h"
#include "proto/runtime/buf.h"

// Appends {"name":…,"kind":…,"context_window":…, …}, what is empty left out. The same model gives the same bytes.
// RESOURCE_EXHAUSTED at the buffer's ceiling.
ez_status ez_model_json(const Ez__V1__Model *model, ez_buf *out) EZ_MUST_CHECK;
