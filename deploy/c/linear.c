/* A matrix times the values, plus a bias. */
#include <stddef.h>

#include "layers.h"

void layer_linear(const void *description, float *arena)
{
    const Linear *layer = description;
    const float *in = arena + layer->in;
    const Weight *weights = layer->weights;
    for (int32_t n = 0; n < layer->values_out; n++) {
        float sum = 0.0f;
        for (int32_t m = 0; m < layer->values_in; m++)
            sum += (float)*weights++ * in[m];
        sum = sum * (layer->scales ? layer->scales[n] : 1.0f);
        sum += layer->biases ? layer->biases[n] : 0.0f;
        arena[layer->out + n] = clipped(sum, layer->low, layer->high);
    }
}
