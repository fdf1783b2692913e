// SPDX-License-Identifier: Apache-2.0
//
// ez_linger: sockets that were answered and closed while their peer was still sending. Closing such a socket at once
// makes the kernel send a reset, which can overtake the answer: the peer would never read why. On the loop's thread
// only.
#pragma once

struct event_base;

typedef struct ez_linger ez_linger;

// NULL where there is no memory; the others take NULL.
ez_linger *ez_linger_create(struct event_base *base);
void ez_linger_destroy(ez_linger *linger);

// Keeps the connection of fd, which stays the caller's to close, until the peer has ended it; for 5 s and 16 MiB
// at most. Does nothing where too many linger already.
void ez_linger_take(ez_linger *linger, int fd);
