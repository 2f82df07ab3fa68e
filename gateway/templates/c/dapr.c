#include "dapr.h"

#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "json.h"

static struct reply call(const char *method, const char *path, const char *json) {
    return http_send(method, "localhost:3500", text("/v1.0%s", path), json);
}

// A key as a part of a path (RFC 3986, 2.1).
static const char *encoded(const char *key) {
    static const char PLAIN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char *made = calloc(strlen(key), 3), *end = made;
    if (!key[0])
        return "";
    for (; *key; key++)
        if (strchr(PLAIN, *key))
            *end++ = *key;
        else
            end = strcpy(end, text("%%%02X", (unsigned char)*key)) + 3;
    return text("%.*s", (int)(end - made), made);
}

bool dapr_publish(const char *pubsub, const char *topic, const char *json) {
    return call("POST", text("/publish/%s/%s", pubsub, topic), json).status == 204;
}

const char *dapr_get(const char *store, const char *key, const char **etag) {
    struct reply reply = call("GET", text("/state/%s/%s", store, encoded(key)), NULL);
    if (etag)
        *etag = reply.etag ? reply.etag : "";
    return reply.status == 200 ? reply.body : NULL;
}

enum saved dapr_save(const char *store, const char *key, const char *json, const char *etag) {
    const char *first = "";
    if (etag)
        first = text(",\"etag\":%s,\"options\":{\"concurrency\":\"first-write\"}", json_quoted(etag));
    const char *items = text("[{\"key\":%s,\"value\":%s%s}]", json_quoted(key), json, first);
    int status = call("POST", text("/state/%s", store), items).status;
    return status == 204 ? SAVED : status == 409 ? CHANGED : FAILED;
}
