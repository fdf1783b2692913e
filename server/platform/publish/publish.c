// SPDX-License-Identifier: Apache-2.0
//
// One PUB socket. The socket, its listener and the table of topics belong to the ez_publish; the lock guards the
// numbers and keeps events in their order on the way out. Awkward: nng's PUB drops the oldest silently where a
// subscriber does not keep up, and says nothing about it, so a send that "worked" only means that the event was
// numbered. Subscribers see the loss by the numbers.
#include "server/platform/publish/publish.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"

#define SERVER_ID_MAX 32
#define HEADER_MAX    512
#define SEND_BUFFER   1024 // events kept for each subscriber; nng takes 1 to 8192
#define RECEIVE_MAX   4096 // a subscriber has nothing to tell

struct ez_publish {
    nng_socket socket;
    char server_id[SERVER_ID_MAX + 1];
    pthread_mutex_t lock;
    ez_publish_topic topics[EZ_PUBLISH_TOPICS_MAX]; // guarded by lock
    unsigned topic_count;                           // guarded by lock
};

static int listen_on(ez_publish *publish, const char *url) {
    nng_listener listener;
    int code = nng_socket_set_int(publish->socket, NNG_OPT_SENDBUF, SEND_BUFFER);
    if (code == 0)
        code = nng_socket_set_size(publish->socket, NNG_OPT_RECVMAXSZ, RECEIVE_MAX);
    if (code == 0)
        code = nng_listener_create(&listener, publish->socket, url);
    if (code == 0)
        code = nng_listener_set_size(listener, NNG_OPT_RECVMAXSZ, RECEIVE_MAX);
    if (code == 0)
        code = nng_listener_set_bool(listener, NNG_OPT_TCP_NODELAY, true);
    if (code == 0)
        code = nng_listener_set_bool(listener, NNG_OPT_TCP_KEEPALIVE, true);
    return code == 0 ? nng_listener_start(listener, 0) : code;
}

ez_status ez_publish_open(const char *url, const char *server_id, ez_publish **out, ez_error *error) {
    if (strncmp(url, "tcp://", 6) != 0)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "URL_INVALID",
                            "can't publish on \"%s\": the URL must begin with tcp://", url);
    if (!*server_id || strlen(server_id) > SERVER_ID_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SERVER_ID_INVALID",
                            "the server's id must have 1 to %d characters", SERVER_ID_MAX);
    ez_publish *publish = calloc(1, sizeof *publish);
    if (!publish)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory to publish on %s", url);
    memcpy(publish->server_id, server_id, strlen(server_id) + 1);
    pthread_mutex_init(&publish->lock, NULL);
    int code = nng_pub0_open(&publish->socket);
    if (code == 0) {
        code = listen_on(publish, url);
        if (code != 0)
            nng_close(publish->socket);
    }
    if (code != 0) {
        pthread_mutex_destroy(&publish->lock);
        free(publish);
        ez_status status = code == NNG_EADDRINVAL ? EZ_INVALID_ARGUMENT : EZ_UNAVAILABLE;
        return ez_error_set(error, status, "LISTEN_FAILED", "can't publish on %s: %s; give it another address", url,
                            nng_strerror(code));
    }
    *out = publish;
    return EZ_OK;
}

void ez_publish_close(ez_publish *publish) {
    if (!publish)
        return;
    nng_close(publish->socket);
    pthread_mutex_destroy(&publish->lock);
    free(publish);
}

// Under the lock. NULL where the table is full: topics are constants of the program, so that is our bug.
static ez_publish_topic *find_topic(ez_publish *publish, const char *name) {
    for (unsigned i = 0; i < publish->topic_count; i++) {
        if (strcmp(publish->topics[i].name, name) == 0)
            return &publish->topics[i];
    }
    if (publish->topic_count == EZ_PUBLISH_TOPICS_MAX || strlen(name) > EZ_PUBLISH_TOPIC_MAX)
        return NULL;
    ez_publish_topic *found = &publish->topics[publish->topic_count++];
    memcpy(found->name, name, strlen(name) + 1);
    return found;
}

static ez_status write_head(const ez_publish *publish, const ez_publish_event *event, uint64_t sequence, ez_buf *out) {
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = event->time_ns / 1000000000;
    time.nanos = (int32_t)(event->time_ns % 1000000000);
    Ez__V1__Revision from = EZ__V1__REVISION__INIT;
    Ez__V1__Revision to = EZ__V1__REVISION__INIT;
    from.epoch = to.epoch = event->epoch;
    from.n = event->from;
    to.n = event->to;
    Ez__V1__EventHeader header = EZ__V1__EVENT_HEADER__INIT;
    header.server_id = (char *)publish->server_id;
    header.sequence = sequence;
    header.time = &time;
    if (event->epoch != 0) {
        header.from = &from;
        header.to = &to;
    }
    header.ack_now = event->ack_now;
    header.fetch = event->fetch;
    if (event->origin != NULL)
        header.origin = (char *)(uintptr_t)event->origin;
    return ez_frame_write_event(out, event->topic, &header);
}

static ez_status make_message(const ez_buf *head, const ez_publish_event *event, nng_msg **out) {
    nng_msg *message;
    if (nng_msg_alloc(&message, 0) != 0)
        return EZ_RESOURCE_EXHAUSTED;
    if (nng_msg_append(message, head->data, head->len) != 0 ||
        (event->len && nng_msg_append(message, event->message, event->len) != 0)) {
        nng_msg_free(message);
        return EZ_RESOURCE_EXHAUSTED;
    }
    *out = message;
    return EZ_OK;
}

// Under the lock: the number is taken only where the event goes out.
static ez_status send_locked(ez_publish *publish, const ez_publish_event *event, ez_error *error) {
    ez_publish_topic *topic = find_topic(publish, event->topic);
    if (!topic)
        return ez_error_set(error, EZ_INTERNAL, "TOPIC_INVALID",
                            "\"%s\" is one topic too many: at most %d, of %d bytes", event->topic,
                            EZ_PUBLISH_TOPICS_MAX, EZ_PUBLISH_TOPIC_MAX);
    ez_auto(ez_buf) head;
    ez_buf_init(&head, HEADER_MAX);
    nng_msg *message = NULL;
    if (write_head(publish, event, topic->sequence + 1, &head) != EZ_OK)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for an event's header");
    if (event->len > EZ_EVENT_MAX || head.len > EZ_EVENT_MAX - event->len)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "EVENT_TOO_LARGE", "an event of %zu bytes: at most %u go",
                            event->len, EZ_EVENT_MAX);
    if (make_message(&head, event, &message) != EZ_OK)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for an event of %zu bytes",
                            event->len);
    int code = nng_sendmsg(publish->socket, message, NNG_FLAG_NONBLOCK);
    if (code != 0) {
        nng_msg_free(message);
        return ez_error_set(error, EZ_UNAVAILABLE, "PUBLISH_FAILED", "can't publish on topic %s: %s", event->topic,
                            nng_strerror(code));
    }
    topic->sequence++;
    return EZ_OK;
}

ez_status ez_publish_send(ez_publish *publish, const ez_publish_event *event, ez_error *error) {
    pthread_mutex_lock(&publish->lock);
    ez_status status = send_locked(publish, event, error);
    pthread_mutex_unlock(&publish->lock);
    return status;
}

unsigned ez_publish_topics(ez_publish *publish, ez_publish_topic out[EZ_PUBLISH_TOPICS_MAX]) {
    pthread_mutex_lock(&publish->lock);
    unsigned count = publish->topic_count;
    memcpy(out, publish->topics, count * sizeof *out);
    pthread_mutex_unlock(&publish->lock);
    return count;
}
