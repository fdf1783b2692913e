// SPDX-License-Identifier: Apache-2.0
//
// "ezplaned import": loads another gateway's export into the configured store: through the server that runs in EZ_HOME
// where there is one, by itself otherwise.
#pragma once

// argv[0] is "import". Exit status: 0 done; 1 some rows failed, the rest is in; 2 the file or the arguments are
// unusable, or no row could be handed over: nothing was written.
int ez_import_command(int argc, char **argv);
