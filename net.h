/* MLPClassifier 4-16-8-3, by fastmlp 0.2.0. */
#ifndef NET_H
#define NET_H

#include <stdint.h>

#define NET_N_INPUTS 4
#define NET_N_OUTPUTS 3
#define NET_N_CLASSES 3

#ifdef __cplusplus
extern "C" {
#endif

/* predict_proba: a probability for each class. */
void net_predict(const float *x, float *out);

/* The position of its class in net_labels. */
int net_class(const float *x);
extern const int64_t net_labels[3];

#ifdef __cplusplus
}
#endif

#endif
