#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "http.h"

static const char *space(const char *at) { return at + strspn(at, " \t\r\n"); }

// Behind a string, or NULL.
static const char *past_text(const char *at) {
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && !*++at)
            return NULL;
    return *at ? at + 1 : NULL;
}

// Behind a value, or NULL.
static const char *past(const char *at) {
    int depth = 0;
    do {
        at = space(at);
        if (*at == '"') {
            at = past_text(at);
        } else if (strchr("{[", *at) && *at) {
            depth++, at++;
        } else if (strchr("}]", *at) && *at) {
            depth--, at++;
        } else if (strchr(",:", *at) && *at) {
            at++;
        } else {
            size_t length = strcspn(at, "\",:{}[] \t\r\n");
            at = length ? at + length : NULL;
        }
    } while (at && depth > 0);
    return at;
}

const char *json_member(const char *object, const char *name) {
    const char *at = object ? space(object) : "";
    if (*at != '{')
        return NULL;
    for (at = space(at + 1); *at == '"'; at = space(at + 1)) {
        const char *found = json_text(at);
        at = past_text(at);
        if (!found || !at || *(at = space(at)) != ':')
            return NULL;
        at = space(at + 1);
        if (strcmp(found, name) == 0)
            return at;
        at = past(at);
        if (!at || *(at = space(at)) != ',')
            return NULL;
    }
    return NULL;
}

// A code point as UTF-8 (RFC 3629).
static char *put(char *end, unsigned long code) {
    if (code < 0x80) {
        *end++ = (char)code;
    } else if (code < 0x800) {
        *end++ = (char)(0xC0 | code >> 6);
        *end++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *end++ = (char)(0xE0 | code >> 12);
        *end++ = (char)(0x80 | (code >> 6 & 0x3F));
        *end++ = (char)(0x80 | (code & 0x3F));
    } else {
        *end++ = (char)(0xF0 | code >> 18);
        *end++ = (char)(0x80 | (code >> 12 & 0x3F));
        *end++ = (char)(0x80 | (code >> 6 & 0x3F));
        *end++ = (char)(0x80 | (code & 0x3F));
    }
    return end;
}

// Four hexadecimal digits, or -1.
static long unit(const char *at) {
    char digits[5] = {0};
    strncpy(digits, at, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

const char *json_text(const char *value) {
    static const char ESCAPES[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    if (!value || *value != '"' || !past_text(value))
        return NULL;
    char *made = malloc(strlen(value)), *end = made;
    for (const char *at = value + 1; *at != '"'; at++) {
        const char *escape;
        if (*at != '\\') {
            *end++ = *at;
        } else if (*++at == 'u') {
            long code = unit(at + 1), second = -1;
            if (code <= 0)
                return NULL;
            at += 4;
            if (code >= 0xD800 && code < 0xDC00 && at[1] == '\\' && at[2] == 'u')
                second = unit(at + 3);
            if (second >= 0xDC00 && second < 0xE000) {
                code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
                at += 6;
            } else if (code >= 0xD800 && code < 0xE000) {
                return NULL;
            }
            end = put(end, (unsigned long)code);
        } else if ((escape = strchr(ESCAPES, *at))) {
            *end++ = MEANT[escape - ESCAPES];
        } else {
            return NULL;
        }
    }
    *end = 0;
    return made;
}

const char *json_quoted(const char *plain) {
    char *made = malloc(6 * strlen(plain) + 3), *end = made;
    *end++ = '"';
    for (; *plain; plain++)
        if (*plain == '"' || *plain == '\\') {
            *end++ = '\\';
            *end++ = *plain;
        } else if ((unsigned char)*plain < 0x20) {
            end = strcpy(end, text("\\u%04x", *plain)) + 6;
        } else {
            *end++ = *plain;
        }
    strcpy(end, "\"");
    return made;
}
