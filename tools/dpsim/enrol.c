// SPDX-License-Identifier: Apache-2.0
//
// Enrolling and deleting many data planes: up to WINDOW calls under way, so that the server can join their commits. The
// batch lives on its caller's stack until every call has ended. Awkward: each reply holds a token; it goes into its
// plane's place and nowhere else.
#include "tools/dpsim/enrol.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "ez/calls.h"
#include "proto/crypto/random.h"
#include "proto/runtime/clock.h"

#define WINDOW     64
#define TIMEOUT_MS 30000
#define PAGE       1000
#define NAME       "sim-"
#define LABEL      "simulator"
#define LABEL_IS   "ez-dpsim"
#define LABEL_KEPT "ez-dpsim-kept"
// A server that was just started has seen nobody yet: planes that are younger may be those of a run that still goes on.
#define UNSEEN_S 600

typedef struct call_batch {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned under_way;
    ez_status status; // the first failure
    ez_error *error;
} call_batch;

// One call's place to answer to.
typedef struct call_place {
    call_batch *batch;
    ez_enrolled *plane;
    bool in_use;
} call_place;

static void batch_init(call_batch *batch, ez_error *error) {
    *batch = (call_batch){.error = error};
    pthread_mutex_init(&batch->mutex, NULL);
    pthread_cond_init(&batch->cond, NULL);
}

static void batch_fini(call_batch *batch) {
    pthread_cond_destroy(&batch->cond);
    pthread_mutex_destroy(&batch->mutex);
}

// Locked.
static void note(call_batch *batch, ez_status status, const ez_error *error) {
    if (status != EZ_OK && batch->status == EZ_OK) {
        batch->status = status;
        ez_error_copy(batch->error, error);
    }
}

static void take_token(ez_enrolled *plane, const ez_call_result *result) {
    Ez__V1__DataPlane *made = ez__v1__data_plane__unpack(NULL, result->reply.len, result->reply.data);
    if (made != NULL) {
        plane->id = made->id;
        snprintf(plane->token, sizeof plane->token, "%s", made->token);
        ez__v1__data_plane__free_unpacked(made, NULL);
    }
}

static void on_done(void *user, const ez_call_result *result) {
    call_place *place = user;
    call_batch *batch = place->batch;
    if (result->status == EZ_OK && place->plane->id == 0) {
        take_token(place->plane, result);
    } else if (result->status == EZ_OK || result->status == EZ_NOT_FOUND) {
        place->plane->id = 0;
    }
    pthread_mutex_lock(&batch->mutex);
    if (result->status != EZ_NOT_FOUND) {
        note(batch, result->status, result->error);
    }
    place->in_use = false;
    batch->under_way--;
    pthread_cond_signal(&batch->cond);
    pthread_mutex_unlock(&batch->mutex);
}

// Waits until there are fewer than most calls under way; returns a free place.
static call_place *wait_for_place(call_batch *batch, call_place *places, unsigned most) {
    call_place *found = NULL;
    pthread_mutex_lock(&batch->mutex);
    while (batch->under_way >= most) {
        pthread_cond_wait(&batch->cond, &batch->mutex);
    }
    for (unsigned i = 0; i < WINDOW && found == NULL; i++) {
        found = places[i].in_use ? NULL : &places[i];
    }
    pthread_mutex_unlock(&batch->mutex);
    return found;
}

static ez_status start(ez_client *admin, call_batch *batch, call_place *place, const char *name,
                       const ProtobufCMessage *request) {
    const ez_call_options options = {.timeout_ms = TIMEOUT_MS};
    pthread_mutex_lock(&batch->mutex);
    place->in_use = true;
    batch->under_way++;
    pthread_mutex_unlock(&batch->mutex);
    ez_error error;
    ez_error_clear(&error);
    ez_status status =
        ez_client_start(admin, ez_method_find(name, strlen(name)), request, &options, on_done, place, &error);
    if (status != EZ_OK) {
        pthread_mutex_lock(&batch->mutex);
        place->in_use = false;
        batch->under_way--;
        note(batch, status, &error);
        pthread_mutex_unlock(&batch->mutex);
    }
    return status;
}

static bool has_failed(call_batch *batch) {
    pthread_mutex_lock(&batch->mutex);
    bool failed = batch->status != EZ_OK;
    pthread_mutex_unlock(&batch->mutex);
    return failed;
}

ez_status ez_enrol_all(ez_client *admin, ez_enrolled *planes, unsigned count, bool is_kept, ez_error *error) {
    // Not the process id: in a container that is the same at each start, and one that was killed left its names behind.
    uint32_t run;
    if (ez_random(&run, sizeof run) != EZ_OK) {
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS",
                            "the system has no random bytes to name data planes by");
    }
    call_batch batch;
    call_place places[WINDOW] = {0};
    batch_init(&batch, error);
    for (unsigned i = 0; i < count && !has_failed(&batch); i++) {
        char name[64];
        snprintf(name, sizeof name, NAME "%08" PRIx32 "-%u", run, i);
        Ez__V1__DataPlane plane = EZ__V1__DATA_PLANE__INIT;
        Ez__V1__DataPlane__LabelsEntry label = EZ__V1__DATA_PLANE__LABELS_ENTRY__INIT;
        Ez__V1__DataPlane__LabelsEntry *labels[] = {&label};
        label.key = (char[]){LABEL};
        label.value = (char *)(uintptr_t)(is_kept ? LABEL_KEPT : LABEL_IS);
        plane.name = name;
        plane.labels = labels;
        plane.n_labels = 1;
        Ez__V1__CreateDataPlaneRequest request = EZ__V1__CREATE_DATA_PLANE_REQUEST__INIT;
        request.data_plane = &plane;
        call_place *place = wait_for_place(&batch, places, WINDOW);
        place->batch = &batch;
        place->plane = &planes[i];
        if (start(admin, &batch, place, "ez.v1.DataPlanes/Create", &request.base) != EZ_OK) {
            break;
        }
    }
    wait_for_place(&batch, places, 1);
    batch_fini(&batch);
    return batch.status;
}

ez_status ez_enrol_delete_all(ez_client *admin, ez_enrolled *planes, unsigned count, ez_error *error) {
    call_batch batch;
    call_place places[WINDOW] = {0};
    batch_init(&batch, error);
    for (unsigned i = 0; i < count; i++) {
        if (planes[i].id == 0) {
            continue;
        }
        Ez__V1__DeleteDataPlaneRequest request = EZ__V1__DELETE_DATA_PLANE_REQUEST__INIT;
        request.id = planes[i].id;
        call_place *place = wait_for_place(&batch, places, WINDOW);
        place->batch = &batch;
        place->plane = &planes[i];
        if (start(admin, &batch, place, "ez.v1.DataPlanes/Delete", &request.base) != EZ_OK) {
            break;
        }
    }
    wait_for_place(&batch, places, 1);
    batch_fini(&batch);
    return batch.status;
}

static bool is_left_behind(const Ez__V1__DataPlane *plane) {
    bool is_ours = false;
    for (size_t i = 0; i < plane->n_labels; i++) {
        is_ours =
            is_ours || (strcmp(plane->labels[i]->key, LABEL) == 0 && strcmp(plane->labels[i]->value, LABEL_IS) == 0);
    }
    int64_t age_s = plane->created_at == NULL ? 0 : ez_clock_wall_ns() / 1000000000 - plane->created_at->seconds;
    return is_ours && (plane->state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LOST ||
                       plane->state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_STOPPED ||
                       (plane->state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_NEVER_SEEN && age_s > UNSEEN_S));
}

// One page; page_token becomes the next one's, "" at the end.
static ez_status sweep_page(ez_client *admin, char page_token[513], ez_error *error) {
    Ez__V1__ListDataPlanesRequest request = EZ__V1__LIST_DATA_PLANES_REQUEST__INIT;
    request.page_size = PAGE;
    request.page_token = page_token;
    request.q = (char[]){NAME};
    Ez__V1__ListDataPlanesResponse *page = NULL;
    ez_status status = ez_call_data_planes_list(admin, &request, NULL, &page, error);
    if (status != EZ_OK) {
        return status;
    }
    static ez_enrolled left[PAGE]; // one sweep a process
    unsigned count = 0;
    for (size_t i = 0; i < page->n_items && count < PAGE; i++) {
        if (is_left_behind(page->items[i])) {
            left[count++] = (ez_enrolled){.id = page->items[i]->id};
        }
    }
    snprintf(page_token, 513, "%s", page->next_page_token);
    ez__v1__list_data_planes_response__free_unpacked(page, NULL);
    return ez_enrol_delete_all(admin, left, count, error);
}

ez_status ez_enrol_sweep(ez_client *admin, ez_error *error) {
    char page_token[513] = "";
    ez_status status;
    do {
        status = sweep_page(admin, page_token, error);
    } while (status == EZ_OK && page_token[0] != '\0');
    return status;
}
