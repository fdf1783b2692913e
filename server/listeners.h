// SPDX-License-Identifier: Apache-2.0
//
// Where the core may listen. Off loopback a listener wants TLS, which this release does not speak yet: refused unless
// the admin insists.
#pragma once

#include "proto/runtime/settings.h"

// INVALID_ARGUMENT (URL_SCHEME), FAILED_PRECONDITION (INSECURE_LISTEN).
ez_status ez_listeners_check(const ez_settings *settings, ez_error *error) EZ_MUST_CHECK;
