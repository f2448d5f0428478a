/* Functions of one value. The output may be in the place of the input. */
#include <math.h>

#include "layers.h"

void layer_clip(const void *description, float *arena)
{
    const Pointwise *layer = description;
    for (int32_t n = 0; n < layer->values; n++)
        arena[layer->out + n] = clipped(arena[layer->in + n], layer->a, layer->b);
}

void layer_square_root(const void *description, float *arena)
{
    const Pointwise *layer = description;
    for (int32_t n = 0; n < layer->values; n++)
        arena[layer->out + n] = sqrtf(arena[layer->in + n]);
}

void layer_sigmoid(const void *description, float *arena)
{
    const Pointwise *layer = description;
    for (int32_t n = 0; n < layer->values; n++)
        arena[layer->out + n] = 1.0f / (1.0f + expf(-arena[layer->in + n]));
}

void layer_hard_sigmoid(const void *description, float *arena)
{
    const Pointwise *layer = description;
    for (int32_t n = 0; n < layer->values; n++) {
        float line = layer->a * arena[layer->in + n] + layer->b;
        arena[layer->out + n] = clipped(line, 0.0f, 1.0f);
    }
}
