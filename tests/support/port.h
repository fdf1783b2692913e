// SPDX-License-Identifier: Apache-2.0
//
// Free TCP ports on 127.0.0.1.
#pragma once

// A port that nobody listens on and that no other test is given while this process lives: a server that is stopped and
// started again finds its port free. Fails the test where there is none left.
unsigned given_port(void);
