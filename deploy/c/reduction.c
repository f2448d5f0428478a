/* The maximum or the mean over one or more neighbouring axes. */
#include <math.h>

#include "layers.h"

void layer_maximum(const void *description, float *arena)
{
    const Reduction *layer = description;
    for (int32_t b = 0; b < layer->before; b++)
        for (int32_t a = 0; a < layer->after; a++) {
            const float *in = arena + layer->in + b * layer->values * layer->after + a;
            float largest = in[0];
            for (int32_t n = 1; n < layer->values; n++)
                largest = fmaxf(largest, in[n * layer->after]);
            arena[layer->out + b * layer->after + a] = largest;
        }
}

void layer_mean(const void *description, float *arena)
{
    const Reduction *layer = description;
    for (int32_t b = 0; b < layer->before; b++)
        for (int32_t a = 0; a < layer->after; a++) {
            const float *in = arena + layer->in + b * layer->values * layer->after + a;
            float sum = 0.0f;
            for (int32_t n = 0; n < layer->values; n++)
                sum += in[n * layer->after];
            arena[layer->out + b * layer->after + a] = sum / (float)layer->values;
        }
}
