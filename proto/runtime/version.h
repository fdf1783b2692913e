// SPDX-License-Identifier: Apache-2.0
#pragma once

// git describe at build time, with a fallback.
extern const char ez_version[];
