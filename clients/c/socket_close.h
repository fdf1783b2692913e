// SPDX-License-Identifier: Apache-2.0
//
// nng_close with a bound. nng before 1.6 can lose a connection that is closed while a message arrives on it; its reaper
// then waits for that connection for ever, and every nng_close after it too (nng #1543). Internal to libezplane.
#pragma once

#include <nng/nng.h>
#include <stdbool.h>

// Closes the socket and waits for it, at most three seconds. False: nng hangs; whatever its callbacks may still touch
// must not be freed.
bool ez_socket_close(nng_socket socket);
