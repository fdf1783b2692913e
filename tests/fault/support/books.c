// SPDX-License-Identifier: Apache-2.0
#include "tests/fault/support/books.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLANES_MAX 64

typedef struct open_step {
    int64_t plane;
    char *line; // NULL: none
} open_step;

static ez_books_sums *sums_of(ez_books_sums *list, unsigned *count, int64_t id) {
    for (unsigned i = 0; i < *count; i++)
        if (list[i].id == id)
            return &list[i];
    cr_assert_lt(*count, EZ_BOOKS_IDS);
    list[*count] = (ez_books_sums){.id = id};
    return &list[(*count)++];
}

// "k7:1,0,20,30,5,0"
static void add_word(ez_books *books, const char *word) {
    int64_t id, n[6] = {0};
    int count = sscanf(word + 1, "%" SCNd64 ":%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64,
                       &id, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]);
    ez_books_sums *to = NULL;
    if (word[0] == 'a' && count == 4) {
        to = sums_of(books->api_keys, &books->api_key_count, id);
        to->success += n[1];
        to->failure += n[2];
    } else if (word[0] == 'k' && count == 7) {
        to = sums_of(books->keys, &books->key_count, id);
        to->quota_used += n[4];
    } else if (word[0] == 'm' && count == 6) {
        to = sums_of(books->masters, &books->master_count, id);
    }
    cr_assert_not_null(to, "what is \"%s\"?", word);
    to->requests += n[0];
    if (word[0] != 'a') {
        to->failure += n[1];
        to->tokens_in += n[2];
        to->tokens_out += n[3];
        to->rate_limited += n[count - 2];
    }
}

static void add_step(ez_books *books, char *line, bool usage, bool logs) {
    int64_t n[5];
    int at = 0;
    int count = sscanf(line, "begin %*d %*u %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 "%n", &n[0],
                       &n[1], &n[2], &n[3], &n[4], &at);
    cr_assert_eq(count, 5, "what is \"%.60s\"?", line);
    books->steps++;
    books->lost += !usage + !logs;
    if (logs) {
        books->records += n[0];
        books->errors += n[1];
        books->tokens_in += n[2];
        books->tokens_out += n[3];
        books->cost_nano_usd += n[4];
    }
    char *rest = NULL;
    for (char *word = strtok_r(line + at, " \n", &rest); usage && word; word = strtok_r(NULL, " \n", &rest))
        add_word(books, word);
}

static open_step *step_of(open_step *steps, int64_t plane) {
    for (unsigned i = 0; i < PLANES_MAX; i++) {
        if (steps[i].plane == 0)
            steps[i].plane = plane;
        if (steps[i].plane == plane)
            return &steps[i];
    }
    cr_assert_fail("more data planes than a test has");
    return NULL;
}

static void read_line(ez_books *books, open_step *steps, const char *line) {
    int64_t plane;
    int usage, logs;
    if (sscanf(line, "begin %" SCNd64, &plane) == 1) {
        open_step *step = step_of(steps, plane);
        cr_assert_null(step->line, "a step of plane %" PRId64 " begins before the last one ended", plane);
        step->line = strdup(line);
        books->open++;
        return;
    }
    cr_assert_eq(sscanf(line, "end %" SCNd64 " %*u %d %d", &plane, &usage, &logs), 3, "what is \"%.60s\"?", line);
    open_step *step = step_of(steps, plane);
    cr_assert_not_null(step->line, "a step of plane %" PRId64 " ends that never began", plane);
    add_step(books, step->line, usage, logs);
    free(step->line);
    step->line = NULL;
    books->open--;
}

void read_books(const char *path, ez_books *books) {
    memset(books, 0, sizeof *books);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "there is no %s", path);
    static open_step steps[PLANES_MAX];
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0)
        read_line(books, steps, line);
    free(line);
    fclose(file);
}

unsigned count_steps(const char *path) {
    FILE *file = fopen(path, "re");
    unsigned count = 0;
    char *line = NULL;
    size_t room = 0;
    while (file && getline(&line, &room, file) > 0)
        count += line[0] == 'b';
    free(line);
    if (file)
        fclose(file);
    return count;
}
