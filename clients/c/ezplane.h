// SPDX-License-Identifier: Apache-2.0
//
// libezplane, whole: what a program outside this repository includes. Inside, include what you use.
#pragma once

#include "clients/c/client.h"
#include "clients/c/reporter.h"
#include "clients/c/session.h"
#include "ez/calls.h"
#include "proto/runtime/version.h"
