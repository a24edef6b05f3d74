/* docs/reference/server-protocol.md in C. Layers: channels, and thrifty, which draws one row of decisions for a whole batch. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;                       /* splitmix64 */
static double uniform(void) {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static const char *value(const char *head, const char *key) {
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *found = strstr(head, quoted);
    return found ? found + strlen(quoted) : "";
}
static int is(const char *head, const char *key, const char *text) {
    return strncmp(value(head, key), text, strlen(text)) == 0;
}

static void say(const char *head, const float *y, const float *g, uint32_t count) {
    uint32_t length = (uint32_t)strlen(head);
    fwrite(&length, 4, 1, stdout), fwrite(head, 1, length, stdout);
    if (y) fwrite(y, 4, count, stdout);
    if (g) fwrite(g, 4, count, stdout);
    fflush(stdout);
}

struct layer { double rate; uint64_t state; int thrifty; };
static struct layer *layers; static int made;

/* y: x (n, c, l) times mask and scale; g: the gradient of the same call. */
static void drop(struct layer *one, const float *x, float *y, const float *c, float *g, const int *size) {
    double scale = one->rate < 1 ? 1 / (1 - one->rate) : 0;
    char *row = malloc(size[1] ? size[1] : 1);
    for (int n = 0; n < size[0]; n++)
        for (int k = 0; k < size[1]; k++) {
            if (n == 0 || !one->thrifty) row[k] = uniform() >= one->rate;
            for (int at = (n * size[1] + k) * size[2], end = at + size[2]; at < end; at++) {
                y[at] = row[k] ? (float)(x[at] * scale) : 0;
                if (g) g[at] = row[k] ? (float)(c[at] * scale) : 0;
            }
        }
    free(row);
}

int main(void) {
    uint32_t length;
    while (fread(&length, 4, 1, stdin) == 1) {   /* the end of the input is the end of the server */
        char *head = calloc(length + 1, 1), out[400];
        if (fread(head, 1, length, stdin) != length) return 1;
        size_t bytes = strtoul(value(head, "bytes"), NULL, 10);
        float *x = malloc(bytes + 4);
        if (fread(x, 1, bytes, stdin) != bytes) return 1;
        if (is(head, "ask", "\"hello\"")) {
            say("{\"protocol\": 1, \"framework\": \"c\", \"version\": \"1\", \"dtypes\": [\"float32\"], \"gradients\": true}", 0, 0, 0);
        } else if (is(head, "ask", "\"make\"")) {
            double rate = strtod(value(head, "rate") + is(head, "rate", "\""), NULL);
            int thrifty = is(head, "layer", "\"thrifty\"");
            if (!(rate >= 0 && rate <= 1)) {
                say("{\"error\": {\"type\": \"RangeError\", \"message\": \"a rate is a number from 0 to 1\"}}", 0, 0, 0);
            } else {
                layers = realloc(layers, (made + 1) * sizeof *layers);
                uint64_t seed = is(head, "seed", "null") ? (uint64_t)made + 1 : strtoull(value(head, "seed"), NULL, 10);
                layers[made] = (struct layer){rate, seed * 0xD1342543DE82EF95u, thrifty};
                snprintf(out, sizeof out, "{\"id\": %d}", made++);
                say(out, 0, 0, 0);
            }
        } else if (is(head, "ask", "\"apply\"") || is(head, "ask", "\"gradient\"")) {
            int both = is(head, "ask", "\"gradient\""), size[3] = {1, 1, 1};
            sscanf(value(head, "shape"), "[%d, %d, %d]", size, size + 1, size + 2);
            uint32_t count = (uint32_t)(bytes / 4 / (1 + both));
            if ((uint32_t)(size[0] * size[1] * size[2]) != count) {
                say("{\"error\": {\"type\": \"RangeError\", \"message\": \"an input is (n, c, l)\"}}", 0, 0, 0);
                free(head), free(x);
                continue;
            }
            float *y = malloc(4 * count + 4), *g = both ? malloc(4 * count + 4) : NULL;
            struct layer *one = layers + atoi(value(head, "id"));
            state = one->state;
            if (both || is(head, "training", "true")) drop(one, x, y, x + count, g, size);
            else memcpy(y, x, 4 * count);
            one->state = state;
            snprintf(out, sizeof out, "{\"shape\": [%d, %d, %d], \"dtype\": \"float32\"}", size[0], size[1], size[2]);
            char arrays[999];
            snprintf(arrays, sizeof arrays, "{\"arrays\": [%s%s%s], \"bytes\": %u}", out, both ? ", " : "", both ? out : "", 4 * count * (1 + both));
            say(arrays, y, g, count);
            free(y), free(g);
        } else {
            say("{}", 0, 0, 0);              /* forget: it holds a few numbers for each layer */
        }
        free(head), free(x);
    }
    return 0;
}
