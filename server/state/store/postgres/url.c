// SPDX-License-Identifier: Apache-2.0
//
// What of a postgres:// URL may be shown. Awkward: a password with a raw "@", "/" or ":" makes a URL that still parses,
// with parts of the password in the host, the port or the database's name, and libpq's own messages then quote them. So
// nothing is shown, and nothing connected to, unless those parts look like what they should be.
#include <stdio.h>
#include <string.h>

#include "server/state/store/postgres/db.h"

static ez_status refuse(ez_error *error) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "STORE_URL",
                        "EZ_STORE is not a usable postgres://user:password@host:port/database: write every character "
                        "of user and password that is not a letter or digit as %%XX");
}

static const char *value_of(const PQconninfoOption *options, const char *keyword) {
    for (; options->keyword; options++) {
        if (strcmp(options->keyword, keyword) == 0)
            return options->val && options->val[0] ? options->val : NULL;
    }
    return NULL;
}

static bool is_made_of(const char *text, const char *allowed) {
    return !text || strspn(text, allowed) == strlen(text);
}

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

ez_status ez_pg_url_check(const char *url, char where[EZ_PG_WHERE_MAX], ez_error *error) {
    char *text = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &text);
    PQfreemem(text); // quotes the URL
    if (!options)
        return refuse(error);
    const char *host = value_of(options, "host"), *port = value_of(options, "port");
    const char *database = value_of(options, "dbname");
    if (!host)
        host = value_of(options, "hostaddr");
    ez_status status = EZ_OK;
    if (!is_made_of(host, DIGITS LETTERS "-._:,/%") || !is_made_of(port, DIGITS ",") ||
        !is_made_of(database, DIGITS LETTERS "-._+ "))
        status = refuse(error);
    else
        snprintf(where, EZ_PG_WHERE_MAX, "%s%s%s/%s", host ? host : "localhost", port ? ":" : "", port ? port : "",
                 database ? database : "");
    PQconninfoFree(options);
    return status;
}
