/* A form as CGI programs in C have handled it for thirty years: a field in the query, and a body of a said length. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static void print_escaped(const char *text, size_t length) {
    for (size_t at = 0; at < length; at++) {
        switch (text[at]) {
        case '<': fputs("&lt;", stdout); break;
        case '>': fputs("&gt;", stdout); break;
        case '&': fputs("&amp;", stdout); break;
        default: putchar(text[at]);
        }
    }
}

int main(int count, char **arguments) {
    (void)arguments;
    printf("Content-Type: text/html; charset=utf-8\r\n");
    printf("X-Arguments: %d\r\n\r\n", count);
    printf("<p>%s %s</p>\n", variable("REQUEST_METHOD"), variable("PATH_INFO"));
    const char *query = variable("QUERY_STRING");
    printf("<p>");
    print_escaped(query, strlen(query));
    printf("</p>\n");
    long length = atol(variable("CONTENT_LENGTH"));
    if (length > 0 && length < 1 << 20) {
        char *body = malloc((size_t)length);
        size_t read = fread(body, 1, (size_t)length, stdin);
        printf("<p>");
        print_escaped(body, read);
        printf("</p>\n");
        free(body);
    }
    fprintf(stderr, "served %s\n", variable("REMOTE_ADDR"));
    return 0;
}
