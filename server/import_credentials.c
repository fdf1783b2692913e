// SPDX-License-Identifier: Apache-2.0
//
// A list that is kept to the end, and a file that follows it.
//
// The awkward case: the file can't be finished (a full disk). Then nothing of it counts, and the whole list is shown:
// twice is better than never.
#include "server/import_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/crypto/seal.h"

struct ez_import_credentials {
    json_t *list;
    json_t *none; // an empty list
    char *path;
    FILE *file;     // NULL: there is none, or it failed
    size_t written; // of the list
};

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
}

static ez_status open_file(ez_import_credentials *credentials, const char *path, ez_error *error) {
    credentials->path = strdup(path);
    if (credentials->path == NULL) {
        return no_memory(error);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    credentials->file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (credentials->file != NULL) {
        return EZ_OK;
    }
    ez_status status = ez_error_set(error, EZ_FAILED_PRECONDITION, "CREDENTIALS_FILE",
                                    "can't make %s for the credentials: %s: name a new file", path, strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return status;
}

ez_status ez_import_credentials_open(const char *path, ez_import_credentials **out, ez_error *error) {
    ez_import_credentials *credentials = calloc(1, sizeof *credentials);
    if (credentials == NULL) {
        return no_memory(error);
    }
    credentials->list = json_array();
    credentials->none = json_array();
    ez_status status = credentials->list != NULL && credentials->none != NULL ? EZ_OK : no_memory(error);
    if (status == EZ_OK && path != NULL) {
        status = open_file(credentials, path, error);
    }
    if (status != EZ_OK) {
        ez_import_credentials_close(credentials);
        return status;
    }
    *out = credentials;
    return EZ_OK;
}

void ez_import_credentials_close(ez_import_credentials *credentials) {
    if (credentials == NULL) {
        return;
    }
    size_t i;
    json_t *made;
    json_array_foreach(credentials->list, i, made) {
        json_t *key = json_object_get(made, "master_key");
        ez_wipe((void *)(uintptr_t)json_string_value(key), json_string_length(key));
    }
    if (credentials->file != NULL) {
        fclose(credentials->file);
        if (credentials->written == 0) {
            unlink(credentials->path);
        }
    }
    json_decref(credentials->list);
    json_decref(credentials->none);
    free(credentials->path);
    free(credentials);
}

bool ez_import_credentials_add(ez_import_credentials *credentials, const char *master, const char *key) {
    json_t *made = json_pack("{s:s,s:s}", "master", master, "master_key", key);
    return made != NULL && json_array_append_new(credentials->list, made) == 0;
}

static void write_line(FILE *out, const json_t *made) {
    for (const char *c = json_string_value(json_object_get(made, "master")); *c != '\0'; c++) {
        fputc((unsigned char)*c < ' ' ? '?' : *c, out); // a tab or an end of line would make another line of it
    }
    fprintf(out, "\t%s\n", json_string_value(json_object_get(made, "master_key")));
}

ez_status ez_import_credentials_sync(ez_import_credentials *credentials, ez_error *error) {
    size_t count = json_array_size(credentials->list);
    if (credentials->file == NULL || credentials->written == count) {
        return EZ_OK;
    }
    for (; credentials->written < count; credentials->written++) {
        write_line(credentials->file, json_array_get(credentials->list, credentials->written));
    }
    if (fflush(credentials->file) == 0 && !ferror(credentials->file) && fsync(fileno(credentials->file)) == 0) {
        return EZ_OK;
    }
    ez_status status = ez_error_set(error, EZ_FAILED_PRECONDITION, "CREDENTIALS_FILE", "can't write %s: %s",
                                    credentials->path, strerror(errno));
    fclose(credentials->file);
    credentials->file = NULL;
    return status;
}

const json_t *ez_import_credentials_unsaved(const ez_import_credentials *credentials) {
    return credentials->file == NULL ? credentials->list : credentials->none;
}
