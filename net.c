#include <math.h>

#include "net.h"

static const float center[4] = {
    5.886607f, 3.0517857f, 3.7964287f, 1.2232143f
};
static const float divisor[4] = {
    0.86741567f, 0.43424445f, 1.7926401f, 0.7779302f
};
static const int8_t weights_0[64] = {
    20, 127, -41, -40, -26, 127, -66, -77,
    85, -78, 110, 127, 17, 127, 15, -25,
    1, -41, 127, 50, 35, -127, 111, -21,
    108, -111, 108, 127, 86, -31, 127, 70,
    77, 19, 90, 127, -80, 103, -127, -127,
    109, -102, -127, -64, 127, -36, -39, 52,
    19, 25, 46, -127, 127, 2, 89, -65,
    -42, 10, -127, -56, -108, 61, -127, -121
};
static const float scales_0[16] = {
    0.008720603f, 0.011873621f, 0.021966962f, 0.005107996f, 0.045703083f, 0.004141481f, 0.0138595365f, 0.013308879f,
    0.041785f, 0.024073353f, 0.018926403f, 0.0020227013f, 0.003208634f, 0.0051505817f, 0.0040680706f, 0.013737697f
};
static const float biases_0[16] = {
    -1.484226f, 0.3745864f, 1.1693547f, -0.32214984f, -1.2770277f, -0.9235844f, 3.8116603f, -0.51650316f,
    -0.8705277f, 1.4684998f, 1.1896017f, -0.81577706f, -0.21272817f, -0.33391166f, -0.49758822f, 0.5702548f
};
static const int8_t weights_1[128] = {
    -7, 2, -18, -9, 95, -5, 127, 7,
    93, -38, 21, -27, -4, 20, -2, -42,
    -24, 45, -47, 10, 8, 0, -54, 9,
    -30, 127, -18, 13, 20, 9, 10, 96,
    23, -24, -7, -14, -68, 1, 106, -22,
    65, -90, 100, -65, 6, -10, -3, -127,
    13, 8, -63, 6, -117, 15, -106, -41,
    -127, 39, -92, -51, -53, -2, -6, -36,
    0, -47, 5, -28, -85, -8, -116, 3,
    -127, 27, -66, -27, -30, 11, -27, -42,
    6, 15, -97, 66, -127, 17, -65, -85,
    -1, 14, 103, -82, 21, -54, -32, -74,
    4, -79, -84, -29, 20, -127, 8, -55,
    -66, -118, -93, -67, 14, -19, -90, -114,
    -34, -5, -34, 19, 127, -14, 93, 28,
    58, -59, -42, -45, -11, 1, -10, -52
};
static const float scales_1[8] = {
    0.037596695f, 0.021396803f, 0.032455847f, 0.008773059f, 0.011208557f, 0.005831359f, 0.005245683f, 0.025109937f
};
static const float biases_1[8] = {
    2.4189448f, -0.4373285f, 4.7521563f, -1.6101028f, -1.356508f, -0.02839309f, -1.012009f, -0.7486217f
};
static const int8_t weights_2[24] = {
    -127, 76, -67, 1, -17, -23, -3, -103,
    101, -14, 127, 15, 19, 1, -8, 37,
    107, -75, -15, 0, 29, 4, -9, 127
};
static const float scales_2[3] = {
    0.055076133f, 0.030400688f, 0.033875182f
};
static const float biases_2[3] = {
    5.5195355f, 0.8123909f, -6.3337483f
};
const int64_t net_labels[3] = {
    INT64_C(0),
    INT64_C(1),
    INT64_C(2)
};

/* z = s W x + b, a row of W and a scale s for each unit. */
static void dense(const float *x, int n_in, const int8_t *w, const float *s,
                  const float *b, int n_out, float *z)
{
    for (int j = 0; j < n_out; j++) {
        float sum = 0.0f;
        for (int i = 0; i < n_in; i++)
            sum += *w++ * x[i];
        z[j] = s[j] * sum + b[j];
    }
}

static float activate_relu(float z)
{
    return z < 0.0f ? 0.0f : z;
}

static void activate_softmax(float *z, int n)
{
    float largest = z[0], total = 0.0f;
    for (int i = 1; i < n; i++)
        largest = z[i] > largest ? z[i] : largest;
    for (int i = 0; i < n; i++)
        total += z[i] = expf(z[i] - largest);
    for (int i = 0; i < n; i++)
        z[i] /= total;
}

static void forward(const float *x, float *out)
{
    float a[8];
    float b[16];
    for (int i = 0; i < 4; i++)
        a[i] = (x[i] - center[i]) / divisor[i];
    dense(a, 4, weights_0, scales_0, biases_0, 16, b);
    for (int i = 0; i < 16; i++)
        b[i] = activate_relu(b[i]);
    dense(b, 16, weights_1, scales_1, biases_1, 8, a);
    for (int i = 0; i < 8; i++)
        a[i] = activate_relu(a[i]);
    dense(a, 8, weights_2, scales_2, biases_2, 3, out);
    activate_softmax(out, 3);
}

void net_predict(const float *x, float *out)
{
    forward(x, out);
}

int net_class(const float *x)
{
    float z[3];
    forward(x, z);
    int best = 0;
    for (int i = 1; i < 3; i++)
        best = z[i] > z[best] ? i : best;
    return best;
}
